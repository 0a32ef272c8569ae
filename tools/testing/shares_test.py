import os
import subprocess
import tempfile
import unittest

import shares

_TARGETS = ["//a:x", "//a:y", "//b:x", "//c/d:x", "//c:x", "//e:x", "//f:x", "//g:x"]


class SharesTest(unittest.TestCase):
    def test_together_are_all_and_each_once(self):
        parts = [shares.share_of(_TARGETS, 5 + i, 3) for i in range(3)]
        self.assertEqual(sorted(sum(parts, [])), sorted(_TARGETS))
        self.assertGreater(min(len(part) for part in parts), 1)

    def test_a_package_stays_together(self):
        for i in range(3):
            part = shares.share_of(_TARGETS, i, 3)
            self.assertEqual("//a:x" in part, "//a:y" in part)

    def test_a_commit_has_its_number(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(shares.number_of_commit(folder), 0)
            git = ["git", "-C", folder, "-c", "user.name=n", "-c", "user.email=e"]
            subprocess.run(git + ["init", "--quiet"], check=True)
            numbers = set()
            for i in range(2):
                with open(os.path.join(folder, "file"), "w") as file:
                    file.write(str(i))
                subprocess.run(git + ["add", "file"], check=True)
                subprocess.run(git + ["commit", "--quiet", "-m", "m"], check=True)
                numbers.add(shares.number_of_commit(folder))
            self.assertEqual(len(numbers), 2)


if __name__ == "__main__":
    unittest.main()
