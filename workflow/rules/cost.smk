# cost: what a dry run says of the processor time, memory and disk that its plan takes.

# These take over another's resources.
EXPECTED["train_learned"] = EXPECTED["train_uniform"] = EXPECTED["train_guided"]

if workflow.is_main_process:
    logging.getLogger("snakemake.logging").addHandler(
        Announcer(workflow, EXPECTED, LOGS, sys.argv[1:])
    )
