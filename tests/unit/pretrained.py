"""Tiny pretrained models, made on the spot: no weights come from anywhere."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from attention_audit.data.batches import PAD
from attention_audit.data.word_pieces import WordPieces

TEXTS = [
    "A good movie, isn't it?",
    "unbelievably   bad",
    "Café movies",
]
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
ELECTRA = {**SIZES, "embedding_size": 6}
# Family, and whether its pieces are of bytes.
FAMILIES = {
    "bert": ("BertConfig", "BertModel", False, SIZES),
    "electra": ("ElectraConfig", "ElectraModel", False, ELECTRA),
    "distilbert": (
        "DistilBertConfig",
        "DistilBertModel",
        False,
        {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12},
    ),
    "roberta": ("RobertaConfig", "RobertaModel", True, SIZES),
    "modernbert": (
        "ModernBertConfig",
        "ModernBertModel",
        True,
        {**SIZES, "local_attention": 4},
    ),
}
POSITIONS = 40


def _word_pieces() -> Tokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz,?'!"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters]
    vocabulary += [f"##{letter}" for letter in letters] + ["good", "movie", "##s", "un"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    around = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $0 [SEP]", None, around
    )
    # as that of MiniLM has it
    tokenizer.enable_padding(length=16)
    return tokenizer


def _byte_pieces() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "oo", "Ġm", "Ġg", "ie"]
    vocabulary = {piece: i for i, piece in enumerate(vocabulary)}
    merges = [("o", "o"), ("Ġ", "m"), ("Ġ", "g"), ("i", "e")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    around = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $0 </s>", None, around
    )
    return tokenizer


@cache
def folder_of(
    family: str, labels: tuple[str, ...] | None = None, longest: int = POSITIONS
) -> Path:
    """The three files of a tiny model of a family, with random weights.

    It reads texts of ``longest`` pieces and special tokens at most. Where it has ``labels``
    it is a classifier of these.
    """
    import transformers

    config, model, in_bytes, sizes = FAMILIES[family]
    if labels is not None:
        model = model.replace("Model", "ForSequenceClassification")
        sizes = {**sizes, "id2label": dict(enumerate(labels))}
    # as the workflow has them, for a model is found by that
    folder = Path(mkdtemp(), "raw", "pretrained", family)
    folder.mkdir(parents=True)
    tokenizer = _byte_pieces() if in_bytes else _word_pieces()
    tokenizer.save(str(folder / "tokenizer.json"))
    pad = tokenizer.token_to_id("<pad>" if in_bytes else "[PAD]")
    positions = longest + (pad + 1 if family == "roberta" else 0)
    own = {} if family == "distilbert" else {"intermediate_size": 12}
    settings = getattr(transformers, config)(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=positions,
        pad_token_id=pad,
        **own,
        **sizes,
    )
    torch.manual_seed(0)
    made = getattr(transformers, model)(settings)
    # Random weights of the library's own size would leave attention nearly uniform.
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.7)
    made.save_pretrained(folder)
    return folder


def vocabulary_of(tokenizer: WordPieces, texts: list[str]) -> list[str]:
    words = {word for text in texts for word in tokenizer.words(text)}
    return ["<pad>", "<unk>", *sorted(words)]


def ids_of(tokenizer: WordPieces, tokens: list[str], texts: list[str]) -> torch.Tensor:
    """Token ids (B, n) of texts."""
    rows = [torch.tensor([tokens.index(w) for w in tokenizer.words(t)]) for t in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def made_by_the_library(family: str, text: str) -> tuple[dict[int, list[int]], object]:
    """Where the pieces of each word of a raw text are, and what the model makes of it."""
    import transformers

    tokenizer = Tokenizer.from_file(str(folder_of(family) / "tokenizer.json"))
    tokenizer.no_padding()
    found = tokenizer.encode(" ".join(text.split()))
    model = transformers.AutoModel.from_pretrained(
        folder_of(family), attn_implementation="eager", dtype=torch.float32
    ).double()
    places: dict[int, list[int]] = {}
    for place, word in enumerate(found.word_ids):
        if word is not None:
            places.setdefault(word, []).append(place)
    with torch.no_grad():
        output = model.eval()(torch.tensor([found.ids]), output_attentions=True)
    return places, output


def edited(folder: Path, to: Path, **config) -> Path:
    """A copy of a model's folder, with other settings."""
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    settings = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(settings | config))
    return to
