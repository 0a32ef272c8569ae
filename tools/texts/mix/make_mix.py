#!/usr/bin/env python3
"""Builds calibration and evaluation texts; see tools/texts/make_mix.

  make_mix.py FOLDER

Test texts never teach: a file of another split that shares its text or longer
passages with one of them (overlap.py) is dropped, and so is a training file that
does with a validation text.
"""

import dataclasses
import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import overlap
import readers

_HERE = os.path.dirname(os.path.abspath(__file__))
_FETCH = os.path.join(_HERE, "../fetch_package")
_SPLITS = ("test", "validation", "train")  # in the order they are chosen


def _sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass
class Piece:
    """A file of a package, or a part of one, as text."""

    source: dict
    path: str  # in the package; "#title" after it: one text of several
    text: str
    part: int = 0  # of a long file

    def record(self):
        record = {"package": self.source["package"], "path": self.path,
                  "bytes": len(self.text.encode()), "sha256": _sha256(self.text)}
        return dict(record, part=self.part) if self.part else record


def natural_order(path):
    """Sorts chapter 2 before chapter 10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.split(r"(\d+)", path) if part]


def matches(source, path):
    return (any(fnmatch.fnmatchcase(path, glob) for glob in source["include"])
            and not any(fnmatch.fnmatchcase(path, glob)
                        for glob in source.get("exclude", ())))


def pieces_of(source, folder):
    """The pieces of a source whose package is unpacked in `folder`, in order."""
    paths = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                paths.append(os.path.relpath(path, folder))
    pieces = []
    for path in sorted(filter(lambda path: matches(source, path), paths),
                       key=natural_order):
        with open(os.path.join(folder, path), "rb") as file:
            content = file.read()
        for title, text in readers.texts_of(path, content):
            if title and title not in source["titles"]:
                continue
            if text.strip() and "\0" not in text:
                pieces.append(Piece(source, f"{path}#{title}" if title else path, text))
    missing = [title for title in source.get("titles", ())
               if not any(piece.path.endswith("#" + title) for piece in pieces)]
    if not pieces or missing:
        raise ValueError(f"{source['name']}: its package lacks {missing or 'them all'}")
    return pieces


def parts_of(piece, limit):
    """A piece of more than 2 * limit bytes in parts of about `limit`, cut at
    empty lines, or lines where there are none."""
    if len(piece.text.encode()) <= 2 * limit:
        return [piece]
    paragraphs = re.split(r"(?<=\n\n)", piece.text)
    if max(map(len, paragraphs)) > limit:
        paragraphs = piece.text.splitlines(keepends=True)
    texts, size = [[]], 0
    for paragraph in paragraphs:
        if size >= limit:
            texts.append([])
            size = 0
        texts[-1].append(paragraph)
        size += len(paragraph.encode())
    return [dataclasses.replace(piece, text="".join(text), part=number)
            for number, text in enumerate(texts, 1)]


def documents_of(pieces, limit):
    """Lists of consecutive pieces, each of at least `limit` bytes but the last."""
    documents, size = [[]], 0
    for piece in (part for piece in pieces for part in parts_of(piece, limit)):
        if size >= limit:
            documents.append([])
            size = 0
        documents[-1].append(piece)
        size += len(piece.text.encode())
    return documents


def text_of(document):
    return "\n".join(piece.text for piece in document)


def fair_shares(sizes, total):
    """How much of each may be taken: all get the same, small ones their size."""
    shares, left = [0] * len(sizes), total
    for number, index in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[index] = min(sizes[index], left // (len(sizes) - number))
        left -= shares[index]
    return shares


def choose(documents, limit):
    """Documents of at most `limit` bytes together, spread over the source."""
    chosen, size = [], 0
    for document in sorted(documents, key=lambda document: _sha256(text_of(document))):
        length = len(text_of(document).encode())
        if size + length <= limit:
            chosen.append(document)
            size += length
    return chosen


class Mix:
    """What goes where, filled in the order of _SPLITS."""

    def __init__(self, sources):
        self._settings = sources
        self._passages = {"test": set(), "validation": set()}
        self._hashes = {}  # of texts, to the split that has them
        self.dropped = []
        self.files = {"test": {}, "validation": {}}  # name -> document
        self.train = {}  # source name -> (source, documents)

    def _keep(self, piece):
        """Whether a piece may go where its source says."""
        split = piece.source["split"]
        reason = None
        if self._hashes.setdefault(_sha256(piece.text), split) != split:
            reason = {"same_text_as": self._hashes[_sha256(piece.text)]}
        elif split != "test":
            own = overlap.passages(piece.text)
            for held_out in _SPLITS[: _SPLITS.index(split)]:
                shared = overlap.too_close(own, self._passages[held_out])
                if shared:
                    reason = {"passages_shared": shared, "with": held_out}
                    break
        if reason:
            self.dropped.append(dict(piece.record(), split=split, **reason))
        return reason is None

    def add(self, source, pieces):
        pieces = [piece for piece in pieces if self._keep(piece)]
        split = source["split"]
        if split == "train":
            documents = documents_of(pieces, self._settings["document_bytes"])
            self.train[source["name"]] = (source, documents)
            return
        self.files[split][source["name"]] = pieces
        self._passages[split] |= overlap.passages(text_of(pieces))

    def train_documents(self):
        """[document], kinds balanced, in an order that mixes them."""
        documents = []
        for kind, total in self._settings["train_bytes"].items():
            of_kind = [docs for source, docs in self.train.values()
                       if source["kind"] == kind]
            sizes = [sum(len(text_of(doc).encode()) for doc in docs) for docs in of_kind]
            for docs, share in zip(of_kind, fair_shares(sizes, total)):
                documents += choose(docs, share)
        return sorted(documents, key=lambda document: _sha256(text_of(document)))


def check_apart(mix, train):
    """Nothing of one split is in another."""
    seen = {}
    parts = [(split, piece) for split, texts in mix.files.items()
             for pieces in texts.values() for piece in pieces]
    parts += [("train", piece) for document in train for piece in document]
    for split, piece in parts:
        for key in ((piece.source["package"], piece.path), _sha256(piece.text)):
            if seen.setdefault(key, split) != split:
                raise AssertionError(f"{piece.path} is in {split} and {seen[key]}")


def write(mix, packages, folder):
    train = mix.train_documents()
    check_apart(mix, train)
    records = []

    def record(split, name, document, text):
        kind = document[0].source["kind"]
        records.append({"split": split, "name": name, "kind": kind,
                        "bytes": len(text.encode()), "sha256": _sha256(text),
                        "pieces": [piece.record() for piece in document]})

    for split, texts in mix.files.items():
        os.mkdir(os.path.join(folder, split))
        for name, document in texts.items():
            text = text_of(document)
            with open(os.path.join(folder, split, name + ".txt"), "w") as file:
                file.write(text)
            record(split, name, document, text)
    with open(os.path.join(folder, "train.jsonl"), "w") as file:
        for document in train:
            text = text_of(document)
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            record("train", document[0].source["name"], document, text)
    with open(os.path.join(folder, "provenance.json"), "w") as file:
        json.dump({"packages": packages, "documents": records,
                   "dropped": mix.dropped}, file, indent=1)
        file.write("\n")
    return records


def fetch(package, folder):
    """Unpacks a package into `folder`; what it is, for the record."""
    with tempfile.NamedTemporaryFile("r") as record:
        subprocess.run([_FETCH, package, folder, record.name], check=True)
        name, version, architecture, sha256 = record.read().split()
    return {"package": name, "version": version, "architecture": architecture,
            "sha256": sha256,
            "copyright": f"usr/share/doc/{name}/copyright"}


def build(settings, folder):
    sources = sorted(settings["sources"],
                     key=lambda source: _SPLITS.index(source["split"]))
    packages, pieces = {}, {}
    for package in sorted({source["package"] for source in sources}):
        print(f"reading {package}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as unpacked:
            packages[package] = fetch(package, unpacked)
            packages[package]["licenses"] = {}
            for source in sources:
                if source["package"] == package:
                    pieces[source["name"]] = pieces_of(source, unpacked)
                    packages[package]["licenses"][source["name"]] = source["license"]
    mix = Mix(settings)
    for source in sources:
        mix.add(source, pieces.pop(source["name"]))
    return write(mix, packages, folder)


def print_table(records):
    totals = {}
    for record in records:
        name = (record["split"], record["kind"], record["name"])
        size, count = totals.get(name, (0, 0))
        totals[name] = (size + record["bytes"], count + 1)
    for (split, kind, name), (size, count) in sorted(totals.items()):
        print(f"{split:<11} {kind:<14} {name:<22} {count:>4} documents"
              f" {size / 1e6:>7.2f} MB")


def main(folder):
    with open(os.path.join(_HERE, "sources.json")) as file:
        settings = json.load(file)
    if os.path.exists(folder):
        sys.exit(f"{folder} exists")
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as work:
        made = os.path.join(work, "texts")
        os.mkdir(made)
        records = build(settings, made)
        os.rename(made, folder)
    print_table(records)


if __name__ == "__main__":
    main(*sys.argv[1:])
