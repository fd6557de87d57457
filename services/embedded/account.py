"""The Unix account Postgres runs under: it refuses root, so as root another one is taken."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

from services.core.errors import Unavailable

# Tried in this order; `postgres` exists where the system's own package was installed.
_ACCOUNTS = ("postgres", "nobody")
# Root's home is closed to others on most systems; what they must reach lies here instead.
_OPEN_FOLDER = Path("/var/lib/crescendo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs Postgres; `uid` None means: whoever runs this process."""

    uid: int | None = None
    gid: int | None = None

    @property
    def process_options(self) -> dict[str, Any]:
        """What `subprocess.Popen` takes to run something under the account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path | int) -> None:
        """Gives a file or folder, or what a descriptor is open on, to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account may walk down to `path`."""
        if self.uid is None:
            return True
        existing = [each for each in path.absolute().resolve().parents if each.exists()]
        return all(each.stat().st_mode & 0o001 for each in existing)


def find_account(cluster: Path) -> Account:
    """Gives the account to run Postgres under: the owner of its data, where there are some.

    Raises:
        Unavailable: this is root, and none of the accounts that could do it exists.
    """
    if os.geteuid() != 0:
        return Account()
    if cluster.exists() and (made := cluster.stat()).st_uid != 0:
        # An ordinary user's, or this function's choice of another day.
        return Account(uid=made.st_uid, gid=made.st_gid)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise Unavailable(
        f"Postgres does not run as root and there is no user {' or '.join(_ACCOUNTS)} to run it as;"
        " start this as an ordinary user, or set CRESCENDO_POSTGRES_DSN to a Postgres of your own",
        reason="NO_ACCOUNT_FOR_POSTGRES",
    )


def account_folder(path: Path, account: Account) -> Path:
    """Makes the folder `path`, owned by and reachable for the account.

    Where the account could not reach it, `path` becomes a link to a folder it can reach.

    Returns: the folder itself, links followed.
    """
    if not path.exists():
        # A link whose folder was deleted: a fresh start was wanted.
        path.unlink(missing_ok=True)
        if account.reaches(path):
            path.mkdir(mode=0o700, parents=True)
        else:
            path.symlink_to(_new_open_folder(), target_is_directory=True)
        account.own(path)
    return path.resolve()


def programs_for(account: Account, installed: Path, version: str) -> Path:
    """Gives the folder with Postgres' programs, copied to where the account reaches them if it must be.

    Args:
        installed: the wheel's package; the folder beside it holds the libraries the programs load.
        version: names the copy, so that another version makes another one.
    """
    if _runs(account, installed):
        return installed
    target = _OPEN_FOLDER / f"postgres-{version}"
    if not target.exists():
        scratch = _new_open_folder()
        for each in (installed, installed.with_name(installed.name + ".libs")):
            if each.exists():
                copytree(each, scratch / each.name, symlinks=True)
        _open_up(scratch)
        try:
            # In one step, so that a copy another process sees is whole.
            scratch.rename(target)
        except OSError:
            if not target.exists():
                raise
    return target / installed.name


def program(installed: Path, name: str) -> str:
    """Gives the path of one of Postgres' programs."""
    return str(installed / "pginstall" / "bin" / name)


def _runs(account: Account, installed: Path) -> bool:
    try:
        done = subprocess.run(
            [program(installed, "postgres"), "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            **account.process_options,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _open_up(folder: Path) -> None:
    for each in (folder, *folder.rglob("*")):
        if not each.is_symlink():
            mode = each.stat().st_mode
            each.chmod(mode | (0o055 if mode & 0o100 else 0o044))


def _new_open_folder() -> Path:
    _OPEN_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=_OPEN_FOLDER))
