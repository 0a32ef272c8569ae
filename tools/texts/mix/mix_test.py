import json
import os
import unittest

import make_mix
import overlap
import readers

_SETTINGS = {"document_bytes": 100, "train_bytes": {"prose": 100000}}


def source(split, name="s"):
    return {"split": split, "kind": "prose", "name": name, "package": "p",
            "license": "l", "include": ["*"]}


def words(begin, count):
    return " ".join(f"word{i}" for i in range(begin, begin + count)) + "\n"


class MixTest(unittest.TestCase):

    def mix_of(self, *pieces):
        """A mix of (split, path, text), one source each."""
        mix = make_mix.Mix(_SETTINGS)
        for split, path, text in pieces:
            of = source(split, path)
            mix.add(of, [make_mix.Piece(of, path, text)])
        return mix

    def test_drops_what_shares_passages_with_the_test_texts(self):
        mix = self.mix_of(
            ("test", "novel", words(0, 1000)),
            ("validation", "copy", words(5000, 900) + words(500, 100)),
            ("train", "quote", words(2000, 3000) + words(0, 40)),
            ("train", "same", words(0, 1000)))
        self.assertEqual(
            [(dropped["path"], dropped.get("passages_shared"))
             for dropped in mix.dropped],
            [("copy", 81), ("same", None)])
        train = mix.train_documents()
        self.assertEqual({piece.path for document in train for piece in document},
                         {"quote"})
        make_mix.check_apart(mix, train)

    def test_drops_training_files_that_validation_has(self):
        mix = self.mix_of(("validation", "v", words(0, 200)),
                          ("train", "t", words(100, 200)))
        self.assertEqual([(dropped["path"], dropped["with"])
                          for dropped in mix.dropped], [("t", "validation")])

    def test_splits_stay_apart(self):
        mix = self.mix_of(("test", "a", words(0, 30)), ("train", "b", words(50, 30)))
        leak = make_mix.Piece(source("train"), "a", "other text")
        with self.assertRaises(AssertionError):
            make_mix.check_apart(mix, [[leak]])
        leak = make_mix.Piece(source("train"), "c", words(0, 30))
        with self.assertRaises(AssertionError):
            make_mix.check_apart(mix, [[leak]])

    def test_cuts_long_files_and_joins_short_ones(self):
        long = make_mix.Piece(source("train"), "long", "line\n\n" * 100)
        parts = make_mix.parts_of(long, 100)
        self.assertEqual("".join(part.text for part in parts), long.text)
        self.assertEqual({len(part.text) for part in parts[:-1]}, {102})
        self.assertEqual([part.part for part in parts[:2]], [1, 2])
        short = [make_mix.Piece(source("train"), str(i), "x" * 40) for i in range(4)]
        documents = make_mix.documents_of(short, 100)
        self.assertEqual([len(document) for document in documents], [3, 1])

    def test_shares_are_fair(self):
        self.assertEqual(make_mix.fair_shares([10, 100, 100], 90), [10, 40, 40])
        self.assertEqual(make_mix.fair_shares([10, 20], 90), [10, 20])
        self.assertEqual(sorted(["ch10", "ch2", "ch1"], key=make_mix.natural_order),
                         ["ch1", "ch2", "ch10"])


class OverlapTest(unittest.TestCase):

    def test_sees_words_not_their_dress(self):
        held_out = overlap.passages(words(0, 300))
        own = overlap.passages(words(0, 300).upper().replace(" ", ",\n"))
        self.assertEqual(overlap.too_close(own, held_out), 300 - overlap.WORDS + 1)
        self.assertEqual(overlap.too_close(overlap.passages(words(900, 300)), held_out),
                         0)


class ReadersTest(unittest.TestCase):

    def test_reads_pages(self):
        page = (b"<head><title>T</title></head><body><script>x()</script>"
                b"<p>One\n  <b>two</b> &amp; three</p><pre>a\n  b</pre></body>")
        self.assertEqual(readers.texts_of("a.html", page),
                         [("", "One two & three\n\na\n  b\n")])

    def test_reads_latin_1(self):
        self.assertEqual(readers.texts_of("a.ml", b"caf\xe9 \r\n"), [("", "caf\u00e9\n")])


class SourcesTest(unittest.TestCase):

    def test_tests_are_what_the_benchmarks_say(self):
        with open(os.path.join(os.path.dirname(make_mix.__file__), "sources.json")) as file:
            settings = json.load(file)
        self.assertEqual([of["name"] for of in settings["sources"]
                          if of["split"] == "test"],
                         ["emma", "persuasion", "hol_light_100"])
        hol_light = [of for of in settings["sources"] if of["package"] == "hol-light"]
        splits = {of["split"] for of in hol_light
                  if make_mix.matches(of, "usr/share/hol-light/100/a.ml")}
        self.assertEqual(splits, {"test"})


if __name__ == "__main__":
    unittest.main()
