"""Files of packages as plain text."""

import gzip
import html.parser
import re

import read_r_strings

_BLOCKS = frozenset(
    "address article aside blockquote br dd div dl dt figure footer h1 h2 h3 h4 h5"
    " h6 header hr li main ol p pre section table td th tr ul".split())
_SKIPPED = frozenset("head nav script style".split())


class _HtmlText(html.parser.HTMLParser):
    """The text of a page: lines for blocks, code as it stands."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts = []
        self._skipped = 0
        self._verbatim = 0

    def handle_starttag(self, tag, attributes):
        if tag in _BLOCKS:
            self.parts.append("\n")
        if tag in _SKIPPED:
            self._skipped += 1
        if tag == "pre":
            self._verbatim += 1

    def handle_endtag(self, tag):
        if tag in _BLOCKS:
            self.parts.append("\n")
        if tag in _SKIPPED:
            self._skipped = max(0, self._skipped - 1)
        if tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)

    def handle_data(self, data):
        if self._skipped:
            return
        if not self._verbatim:
            data = re.sub(r"\s+", " ", data)
            if not self.parts or self.parts[-1].endswith("\n"):
                data = data.lstrip(" ")
        if data:
            self.parts.append(data)


def _decode(content):
    """Some files are in Latin-1, with a name or two."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _tidy(text):
    """One way of writing line ends, and at most two empty lines in a row."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n") + "\n"


def read_text(content):
    return _tidy(_decode(content))


def read_html(content):
    page = _HtmlText()
    page.feed(_decode(content))
    page.close()
    lines = [line.rstrip() for line in "".join(page.parts).split("\n")]
    return _tidy(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)))


def read_r_database(content):
    """[(title in lower case, text)] of the character vectors of an R database."""
    texts = []
    for block in read_r_strings.read_blocks(content):
        lines = read_r_strings.read_strings(block)
        if lines is not None:
            texts.append((lines[0].lower(), _tidy("\n".join(lines))))
    return texts


def texts_of(path, content):
    """[(name inside the file or "", text)] of a file of a package."""
    if path.endswith(".gz"):
        path, content = path[:-3], gzip.decompress(content)
    if path.endswith(".rdb"):
        return read_r_database(content)
    if path.endswith(".html"):
        return [("", read_html(content))]
    return [("", read_text(content))]
