import unittest

import check_docs

_FILES = ["README.md", "docs/design/a.md", "engine/engine.h", "engine/gate/BUILD"]


class CheckDocsTest(unittest.TestCase):

    def missing(self, text, document="README.md"):
        return check_docs.missing(document, text, _FILES)

    def test_takes_what_is_there(self):
        text = "`engine/engine.h` `engine/engine` `engine/gate/` [a](docs/design/a.md)"
        self.assertEqual(self.missing(text), [])
        self.assertEqual(self.missing("[up](../../README.md)", "docs/design/a.md"), [])

    def test_leaves_out_what_is_no_path_of_ours(self):
        text = "`engine/OP.cc` `engine/*.h` `--a/b` `text/plain` `/metrics`"
        self.assertEqual(self.missing(text + " [b](https://x.test/y)"), [])

    def test_finds_what_is_gone(self):
        self.assertEqual(
            self.missing("fine\n`engine/gone.h` [b](docs/gone.md#part)"),
            [(2, "docs/gone.md"), (2, "engine/gone.h")],
        )

    def test_finds_a_page_that_is_not_listed(self):
        files = _FILES + ["docs/design/README.md", "docs/design/b.md", "docs/c.md"]
        text = "[a](a.md) `b.md`"
        found = check_docs.unlisted("docs/design/README.md", text, files)
        self.assertEqual(found, ["docs/design/b.md"])
        text += " [b](b.md)"
        self.assertEqual(
            check_docs.unlisted("docs/design/README.md", text, files), []
        )


if __name__ == "__main__":
    unittest.main()
