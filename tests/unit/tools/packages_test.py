# Goal: packages are installed as root, asking for a password where a person can give one.
import os
import pty
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
SOURCED = ". tools/dev/common.sh; . tools/dev/packages.sh; state_dir=$STATE; "


class Packages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.called = os.path.join(self.folder.name, "called")
        self.program("id", "echo 1000")

    def program(self, name, script):
        """Puts a program in front of the real one of that name."""
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def shell(self, command, **options):
        environment = dict(os.environ, PATH=self.folder.name + ":" + os.environ["PATH"],
                           STATE=self.folder.name + "/state", CALLED=self.called)
        environment.update(options.pop("environment", {}))
        return subprocess.run(["sh", "-euc", SOURCED + command], cwd=ROOT, env=environment,
                              capture_output=True, text=True, timeout=30, check=False, **options)

    def words_of_sudo(self, stdin):
        self.program("sudo", 'echo "$*" >"$CALLED"')
        self.assertEqual(self.shell("apt label update", stdin=stdin).returncode, 0)
        with open(self.called, encoding="utf-8") as file:
            return file.read()

    def test_a_person_at_a_terminal_is_asked_for_the_password(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.assertTrue(self.words_of_sudo(theirs).startswith("sh -c"))

    def test_without_a_terminal_sudo_does_not_wait_for_one(self):
        self.assertTrue(self.words_of_sudo(subprocess.DEVNULL).startswith("-n sh -c"))

    def test_the_users_language_hides_no_package(self):
        self.program("apt-cache", 'word=Installationskandidat\n'
                     '[ "$LC_ALL${LANGUAGE-}" != C ] || word=Candidate\n'
                     'echo "  $word: 1.0-1"')
        shown = self.shell("without_candidate a b", environment={
            "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"})
        self.assertEqual(shown.stdout, "")


if __name__ == "__main__":
    unittest.main()
