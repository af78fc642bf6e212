# Goal: ./dev says in one line what is wrong with how or where it is called.
import os
import subprocess
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


if __name__ == "__main__":
    unittest.main()
