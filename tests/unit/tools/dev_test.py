# Goal: ./dev says in one line what is wrong with how or where it is called.
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def dev(*arguments, without=()):
    environment = {k: v for k, v in os.environ.items() if k not in without}
    return subprocess.run(["./dev", *arguments], cwd=ROOT, env=environment, capture_output=True,
                          text=True, timeout=60, check=False)


class Dev(unittest.TestCase):
    def test_without_home_it_asks_the_user_database(self):
        shown = dev(without=("HOME", "XDG_CACHE_HOME"))
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertTrue(shown.stdout.startswith("usage: ./dev"))

    def test_a_preset_without_a_value_is_named(self):
        shown = dev("test", "--preset")
        self.assertEqual((shown.returncode, shown.stdout), (1, ""))
        self.assertRegex(shown.stderr, r"^error: --preset needs a value[^\n]*\n$")

    def test_without_git_the_checks_end_in_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.join(ROOT, "docs"), os.path.join(folder, "docs"))
            shutil.copytree(os.path.join(ROOT, "tools"), os.path.join(folder, "tools"))
            for script in ("tools/dev/docs.py", "tools/lint/lint.py"):
                shown = subprocess.run(["python3", "-B", script], cwd=folder, capture_output=True,
                                       text=True, timeout=60, check=False)
                self.assertEqual(shown.returncode, 1)
                self.assertRegex(shown.stderr, r"^error: [^\n]*git checkout\n$")


if __name__ == "__main__":
    unittest.main()
