import unittest

import check_ptxas

_GOOD = """\
ptxas info    : 11 bytes gmem
ptxas info    : Compiling entry function '_Z3fooILi64EEvv' for 'sm_90a'
ptxas info    : Function properties for _Z3fooILi64EEvv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 96 registers, used 16 barriers
"""


class CheckPtxasTest(unittest.TestCase):
    def test_good(self):
        self.assertEqual(check_ptxas.problems(_GOOD, [("fooILi64E", 96)]), [])

    def test_spills(self):
        report = _GOOD.replace("0 bytes spill loads", "4 bytes spill loads")
        self.assertIn("0 + 4 spilled", check_ptxas.problems(report, [])[0])

    def test_stack(self):
        report = _GOOD.replace("    0 bytes stack", "    8 bytes stack")
        self.assertIn("8 bytes of stack", check_ptxas.problems(report, [])[0])

    def test_too_many_registers(self):
        found = check_ptxas.problems(_GOOD, [("foo", 95)])
        self.assertEqual(found, ["foo: 96 registers, may use 95"])

    def test_kernel_that_is_not_there(self):
        self.assertEqual(len(check_ptxas.problems(_GOOD, [("bar", 96)])), 1)

    def test_performance_loss(self):
        report = "ptxas info : (C7512) Potential Performance Loss: x\n" + _GOOD
        self.assertEqual(len(check_ptxas.problems(report, [])), 1)

    def test_nothing_compiled(self):
        self.assertEqual(len(check_ptxas.problems("", [])), 1)

    def test_report_cut_short(self):
        report = _GOOD.partition("ptxas info    : Used")[0]
        self.assertIn("not complete", check_ptxas.problems(report, [])[0])


if __name__ == "__main__":
    unittest.main()
