"""Tests of bazel_results.py."""

import json
import os
import tempfile
import unittest

from tools.testing import bazel_results

_GTEST = """<testsuites><testsuite name="S">
  <testcase name="Good" classname="S" status="run" result="completed"/>
  <testcase name="Bad" classname="S" status="run" result="completed">
    <failure message="x"/></testcase>
  <testcase name="NoGpu" classname="S" status="run" result="skipped">
    <skipped message="a_test.cc:3&#x0A;no CUDA device"/></testcase>
  <testcase name="DISABLED_Later" classname="S" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""

_SCRIPT = """<testsuites><testsuite><testcase name="a/b_test" status="run">%s
</testcase></testsuite></testsuites>"""


class CountCasesTest(unittest.TestCase):
    def test_googletest(self):
        tally = bazel_results.count_cases("//a:b_test", _GTEST, passed=False)
        self.assertEqual(tally.passed, 1)
        self.assertEqual(tally.failures, ["//a:b_test S.Bad"])
        self.assertEqual(
            tally.skips,
            [
                "//a:b_test S.NoGpu: no CUDA device",
                "//a:b_test S.DISABLED_Later: disabled",
            ],
        )
        self.assertEqual(tally.line(), "1 passed, 1 failed, 2 skipped")

    def test_script(self):
        tally = bazel_results.count_cases("//a:b_test", _SCRIPT % "", passed=True)
        self.assertEqual(tally.line(), "1 passed, 0 failed")
        tally = bazel_results.count_cases(
            "//a:b_test", _SCRIPT % '<error message="exited"/>', passed=False
        )
        self.assertEqual(tally.failures, ["//a:b_test"])

    def test_crash_after_the_last_case(self):
        tally = bazel_results.count_cases("//a:b_test", _SCRIPT % "", passed=False)
        self.assertEqual(tally.line(), "1 passed, 1 failed")

    def test_nothing_ran(self):
        tally = bazel_results.count_cases("//a:b_test", "<testsuites/>", passed=True)
        self.assertEqual(tally.line(), "0 passed, 1 failed")
        tally = bazel_results.count_cases("//a:b_test", "<test", passed=False)
        self.assertEqual(tally.line(), "0 passed, 1 failed")


class CountEventsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def result(self, label, status, xml, shard=1):
        outputs = []
        if xml is not None:
            path = os.path.join(self.folder.name, f"{label[-1]}{shard}.xml")
            with open(path, "w") as file:
                file.write(xml)
            outputs = [{"name": "test.xml", "uri": "file://" + path}]
        return json.dumps(
            {
                "id": {"testResult": {"label": label, "run": 1, "shard": shard}},
                "testResult": {"status": status, "testActionOutput": outputs},
            }
        )

    @staticmethod
    def completed(label, success):
        return json.dumps(
            {
                "id": {"targetCompleted": {"label": label}},
                "completed": {"success": True} if success else {},
            }
        )

    def test_targets_of_another_configuration_are_left_out(self):
        aborted = {"id": {"targetCompleted": {"label": "//a:cuda"}}}
        for reason, failures in (("SKIPPED", 0), ("ANALYSIS_FAILURE", 1)):
            aborted["aborted"] = {"reason": reason}
            tally = bazel_results.count_events([json.dumps(aborted)])
            self.assertEqual(len(tally.failures), failures, reason)

    def test_events(self):
        tally = bazel_results.count_events(
            [
                self.completed("//a:a", True),
                self.completed("//a:b", True),
                self.completed("//a:c", False),
                self.result("//a:a", "PASSED", _SCRIPT % "", shard=1),
                self.result("//a:a", "PASSED", _SCRIPT % "", shard=2),
                self.result("//a:b", "FAILED", _GTEST),
                self.result("//a:d", "TIMEOUT", None),
                json.dumps({"id": {"progress": {}}, "progress": {}}),
            ]
        )
        self.assertEqual(tally.passed, 3)
        self.assertEqual(
            tally.failures,
            [
                "//a:b S.Bad",
                "//a:d: TIMEOUT, without a test.xml",
                "//a:c: not built",
            ],
        )

    def test_last_attempt_counts(self):
        tally = bazel_results.count_events(
            [
                self.result("//a:a", "FAILED", _GTEST),
                self.result("//a:a", "PASSED", _SCRIPT % ""),
            ]
        )
        self.assertEqual(tally.line(), "1 passed, 0 failed")


if __name__ == "__main__":
    unittest.main()
