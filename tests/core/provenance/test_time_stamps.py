"""RFC 3161: with a real authority's time stamp a file outlives the certificate that signed it; without, it does not."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from core.clock import now
from core.errors import Unavailable
from core.intake.clean import Intake, IntakeLimits
from core.provenance.certificates import Credential, new_root, new_signer
from core.provenance.sign import sign
from core.provenance.verify import Checker
from tests.core.provenance.authority import time_stamping
from tests.core.provenance.test_sign import LEDGER, MARK, ROOT, a_file

LARGE = a_file("image/jpeg")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, list[bytes]]]:
    with time_stamping(tmp_path_factory.mktemp("tsa")) as running:
        yield running


def signed(credential: Credential, url: str | None) -> bytes:
    return sign(
        LARGE,
        "image/jpeg",
        ledger=LEDGER,
        mark=MARK,
        training_allowed=False,
        credential=credential,
        time_stamps=url,
        version="test",
    )


async def state(data: bytes, *, time_stamps: str = "") -> str:
    checker = Checker(Intake(IntakeLimits()))
    found = await checker.examine(
        data, declared_type=None, anchors=[ROOT.certificate], key=None, time_stamps=time_stamps
    )
    return str(found.manifest["state"])


def wait_until(moment: datetime) -> None:
    while now() <= moment:
        time.sleep(0.2)


async def test_a_stamped_file_is_genuine_after_its_certificate_ended_and_a_bare_one_is_not(
    authority: tuple[str, str, list[bytes]],
) -> None:
    url, time_root, asked = authority
    short = new_signer(ROOT, moment=now(), term=timedelta(seconds=8))
    stamped, bare = signed(short, url), signed(short, None)
    assert len(asked) == 1
    # The authority was told a digest, and nothing of the picture.
    assert len(asked[0]) < 100
    assert await state(bare) == "valid"
    wait_until(short.not_after + timedelta(seconds=2))  # readers count whole seconds
    assert await state(bare, time_stamps=time_root) == "foreign"
    assert await state(stamped, time_stamps=time_root) == "valid"
    # A stamp of an authority that nobody trusts proves no time.
    assert await state(stamped) == "foreign"
    changed = bytearray(stamped)
    changed[-2000] ^= 4
    assert await state(bytes(changed), time_stamps=time_root) == "altered"


async def test_whose_time_stamps_count_signs_nothing_in_our_name() -> None:
    theirs = new_root(now())
    forged = signed(new_signer(theirs, moment=now(), term=timedelta(days=1)), None)
    assert await state(forged, time_stamps=theirs.certificate) == "foreign"


def test_an_authority_that_is_away_is_no_fault_of_the_job_and_gives_no_unstamped_file() -> None:
    signer = new_signer(ROOT, moment=now(), term=timedelta(days=1))
    with pytest.raises(Unavailable):
        signed(signer, "http://127.0.0.1:9/")
