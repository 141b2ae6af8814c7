"""Words and their pieces, as a pretrained model's tokenizer has them.

A tokenizer cuts a text twice: into words (its normalizer and pre-tokenizer), and each word
into pieces of its own vocabulary. The inputs of a decision are words; which pieces make a
word is for the model that reads it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as FromBytes
from tokenizers.pre_tokenizers import ByteLevel as ToBytes

from attention_audit.data.batches import PAD, UNK
from attention_audit.records.errors import AuditError

# What stands before a word that follows a space, where a tokenizer tells such words from
# others: of byte-level ones (GPT-2, RoBERTa), and of SentencePiece.
_BYTE_SPACE, _SPACE = "Ġ", "▁"

# The unknown word, by the names that models have for it.
_UNKNOWN = ("[UNK]", "<unk>", "[PAD]", "<pad>")


class WordPieces:
    """A pretrained model's tokenizer, by its file tokenizer.json.

    ``before`` and ``after`` are the ids of the special tokens around a text, such as
    [CLS] and [SEP].
    """

    def __init__(self, path: str | Path):
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        # The library raises no other.
        except Exception as error:
            raise AuditError(
                f"{path}: not a tokenizer of the library tokenizers ({error})."
            ) from error
        if self._tokenizer.pre_tokenizer is None:
            raise AuditError(
                f"{path}: this tokenizer does not cut texts into words, which are what is "
                "audited. Name a model whose tokenizer has a pre-tokenizer."
            )
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._in_bytes = any(_BYTE_SPACE in word for word, _ in self._cut("a b"))
        self.before, self.after = self._specials()

    def _specials(self) -> tuple[list[int], list[int]]:
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a").ids
        start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return whole[:start], whole[start + len(bare) :]

    def _cut(self, text: str) -> list[tuple[str, tuple[int, int]]]:
        """The words of a text as the tokenizer's model takes them."""
        # Several spaces would be words of their own.
        text = " ".join(text.split())
        if (normalizer := self._tokenizer.normalizer) is not None:
            text = normalizer.normalize_str(text)
        return self._tokenizer.pre_tokenizer.pre_tokenize_str(text)

    def words(self, text: str) -> list[str]:
        """The words of a text. They hold no white space.

        A tokenizer of bytes or of SentencePiece keeps apart words that follow a space: these
        begin with its mark, Ġ or ▁, as in its own vocabulary.
        """
        words = [word for word, _ in self._cut(text)]
        if self._in_bytes:
            words = [self._shown(word) for word in words]
        # A normalizer may leave spaces that no one sees.
        return [word for word in words if word.split() == [word]]

    @staticmethod
    def _shown(word: str) -> str:
        """A word in characters, of one in bytes; the mark of its space stays."""
        text = FromBytes().decode([word])
        return _BYTE_SPACE + text[1:] if text.startswith(" ") else text

    def _own_pieces(self, word: str) -> list[int]:
        """The pieces of a word of `words`."""
        if self._in_bytes:
            text = " " + word[1:] if word.startswith(_BYTE_SPACE) else word
            to_bytes = ToBytes(add_prefix_space=False, use_regex=False)
            word = "".join(part for part, _ in to_bytes.pre_tokenize_str(text))
        return [token.id for token in self._tokenizer.model.tokenize(word)]

    def _pieces(self, word: str) -> list[int]:
        """The pieces of a word that something else has cut, as of one behind a space."""
        found = []
        for part, _ in self._cut(f"a {word}")[1:]:
            found += [token.id for token in self._tokenizer.model.tokenize(part)]
        return found

    @property
    def unknown(self) -> int:
        """The id of the unknown piece, or of padding where every text can be read."""
        ids = map(self._tokenizer.token_to_id, _UNKNOWN)
        return next(i for i in (*ids, 0) if i is not None)

    def table(self, tokens: Sequence[str]) -> np.ndarray:
        """The pieces of every token of a vocabulary, int32 (V, P); -1 where there is none.

        Padding has no piece, the unknown word that of its own. A word without any piece
        is unknown too.
        """
        # No other tokenizer marks the words behind a space.
        marks = (_BYTE_SPACE, _SPACE)
        own = any(token.startswith(marks) and len(token) > 1 for token in tokens)
        pieces_of = self._own_pieces if own else self._pieces
        rows = [
            [] if i == PAD else ([] if i == UNK else pieces_of(token)) or [self.unknown]
            for i, token in enumerate(tokens)
        ]
        table = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int32)
        for row, pieces in zip(table, rows, strict=True):
            row[: len(pieces)] = pieces
        return table


def splitter(path: str | Path):
    """A function that cuts a text into the words of a tokenizer; see `WordPieces.words`."""
    return WordPieces(path).words
