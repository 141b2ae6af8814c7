# shared: fetched archives, prepared data and trained models, between checkouts.
# SNAKEMAKE_OUTPUT_CACHE names the folder, `snakemake --cache` uses it.

if SHARED:
    for shared_rule in workflow.rules:
        if shared_rule.cache:
            # A job whose outputs may come from elsewhere cannot be measured, and
            # Snakemake has no word for a benchmark that depends on that.
            shared_rule._benchmark = None
