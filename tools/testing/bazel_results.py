"""Counts what a `bazel test` ran, by test case, from its build event file."""

import dataclasses
import json
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass
class Tally:
    """Test cases by outcome.

    Attributes:
      passed: how many.
      failures: one line each.
      skips: one line each, with the reason.
    """

    passed: int = 0
    failures: list = dataclasses.field(default_factory=list)
    skips: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips

    def line(self):
        """ "N passed, N failed", and ", N skipped" where some were."""
        text = f"{self.passed} passed, {len(self.failures)} failed"
        return text + (f", {len(self.skips)} skipped" if self.skips else "")


def count_cases(label, xml, passed):
    """The tally of one test.xml.

    Args:
      label: the test target.
      xml: the content of its test.xml.
      passed: whether Bazel counts the target as passed.
    """
    tally = Tally()
    try:
        cases = list(ElementTree.fromstring(xml).iter("testcase"))
    except ElementTree.ParseError as error:
        cases = []
        tally.failures.append(f"{label}: test.xml: {error}")
    for case in cases:
        name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
        where = label if name in ("", label[2:].replace(":", "/")) else f"{label} {name}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tally.failures.append(where)
        elif skipped is not None:
            reason = skipped.get("message") or (skipped.text or "").strip()
            tally.skips.append(f"{where}: {_last_line(reason) or 'no reason given'}")
        elif case.get("status") == "notrun" or case.get("result") == "skipped":
            tally.skips.append(f"{where}: disabled")
        else:
            tally.passed += 1
    if not passed and not tally.failures:
        tally.failures.append(f"{label}: ended badly after its last test case")
    if passed and not cases:
        tally.failures.append(f"{label}: has no test case")
    return tally


def count_events(lines):
    """The tally of a build event file (--build_event_json_file).

    Counts each test target's cases, a shard by itself, of a flaky test the last
    attempt; and as one failure each test target that was not built, or not run
    to its end.
    """
    results = {}  # (label, run, shard) -> (status, uri of test.xml or None)
    unbuilt = set()
    for line in lines:
        event = json.loads(line)
        ident = event.get("id", {})
        if "testResult" in ident and "testResult" in event:
            key = ident["testResult"]
            outputs = event["testResult"].get("testActionOutput", [])
            uris = [o["uri"] for o in outputs if o["name"] == "test.xml"]
            results[key["label"], key.get("run", 1), key.get("shard", 0)] = (
                event["testResult"].get("status"),
                uris[0] if uris else None,
            )
        elif "targetCompleted" in ident:
            # A target of another configuration (CUDA) is none of this build.
            if event.get("aborted", {}).get("reason") == "SKIPPED":
                continue
            if not event.get("completed", {}).get("success", False):
                unbuilt.add(ident["targetCompleted"]["label"])
    tally = Tally()
    for (label, _, _), (status, uri) in sorted(results.items()):
        xml = _read(uri) if uri else None
        if xml is None:
            tally.failures.append(f"{label}: {status}, without a test.xml")
        else:
            tally.add(count_cases(label, xml, status == "PASSED"))
    tested = {label for label, _, _ in results}
    for label in sorted(unbuilt - tested):
        tally.failures.append(f"{label}: not built")
    return tally


def _last_line(text):
    # GoogleTest puts "file:line\n" before the message.
    return text.strip().rpartition("\n")[2]


def _read(uri):
    try:
        with open(urllib.request.url2pathname(urllib.parse.urlparse(uri).path)) as f:
            return f.read()
    except OSError:
        return None
