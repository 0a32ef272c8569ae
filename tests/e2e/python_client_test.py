"""The Python client of the README, as the README says to build and run it."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

_EXAMPLE = "client/python_example/complete.py"
_DEFAULT_ADDRESS = "127.0.0.1:8470"
_CHAPTER = ".cache/quickstart/chapter.txt"


def readme_block(language_or_marker):
    """The first code block of the README that matches; its text."""
    with open("README.md") as file:
        text = file.read()
    if language_or_marker == "python":
        return re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        if language_or_marker in block:
            return re.sub(r"^    ", "", block, flags=re.MULTILINE)
    raise LookupError(language_or_marker)


class PythonClientTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            ["tests/e2e/echo_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cls.address = cls.server.stdout.readline().strip()
        cls.folder = tempfile.TemporaryDirectory()
        cls.chapter = os.path.join(cls.folder.name, "chapter.txt")
        with open(cls.chapter, "w") as file:
            file.write("x" * 2000)
        packages = os.path.abspath("external/grpcio")
        cls.environment = {"PYTHONPATH": f"{packages}:{cls.folder.name}"}
        # The README's command for the generated modules, with its virtual
        # environment replaced by ours.
        commands = readme_block("grpc_tools.protoc").replace("\\\n", " ").split("\n")
        (generate,) = [line for line in commands if "grpc_tools.protoc" in line]
        generate = generate.replace("venv/bin/python", sys.executable)
        generate = generate.replace("=venv", f"={cls.folder.name}")
        subprocess.run(generate.split(), env=cls.environment, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        cls.server.wait()
        cls.server.stdout.close()
        cls.folder.cleanup()

    def run_python(self, *arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run_example(self, *arguments):
        return self.run_python(_EXAMPLE, f"--server={self.address}", *arguments)

    def test_example_streams_a_completion(self):
        result = self.run_example("--max_tokens=3", "a prompt")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "w0 w1 w2 \n")
        self.assertIn("realized sparsity 0.000", result.stderr)

    def test_example_sends_its_budget(self):
        result = self.run_example("--target_sparsity=0.5", "x" * 2000)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("realized sparsity 0.5", result.stderr)
        self.assertNotIn("closest feasible", result.stderr)

    def test_example_reports_errors(self):
        result = self.run_example("--target_sparsity=1", "a prompt")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^INVALID_ARGUMENT: .+")

    def test_readme_snippet_runs(self):
        snippet = readme_block("python")
        self.assertIn(_DEFAULT_ADDRESS, snippet)
        self.assertIn(_CHAPTER, snippet)
        program = (
            "import grpc\n"
            "from seer.v1 import completion_pb2\n"
            "from seer.v1 import completion_pb2_grpc\n"
            "from seer.v1 import sparsity_pb2\n"
        ) + snippet.replace(_DEFAULT_ADDRESS, self.address).replace(
            _CHAPTER, self.chapter)
        result = self.run_python("-c", program)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout.startswith("w0 w1 w2 "), result.stdout)
        self.assertRegex(result.stdout, r"\nrealized sparsity 0\.5\d* False\n$")


if __name__ == "__main__":
    unittest.main()
