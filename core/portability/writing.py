"""What the chapters of an export are written from."""

from dataclasses import dataclass
from datetime import datetime

from core.db import Database
from core.keyring.signing_keys import SigningKey
from core.rights.models import PersonExport
from core.storage.models import Asset
from core.storage.service import SealedStore


@dataclass(frozen=True)
class Picture:
    """A sealed picture, and the name that it gets in the file."""

    asset: Asset
    path: str


@dataclass(frozen=True)
class Writing:
    """One export while it is written. root: the public address of this service. at: when it was begun."""

    database: Database
    store: SealedStore
    export: PersonExport
    pictures: tuple[Picture, ...]
    root: str
    signing_key: SigningKey
    at: datetime
