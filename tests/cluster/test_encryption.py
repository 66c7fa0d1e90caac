"""Who is let in to dask's scheduler of a run on Slurm, and where it listens."""

import socket
import ssl
import stat

import pytest
from listening import listening

from sciml.ensemble.addresses import check_scheduler, listening_address
from sciml.ensemble.certificate import make_certificate, security
from sciml.ensemble.cluster import opened
from sciml.ensemble.launcher import Launcher
from sciml.errors import InputError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def shake_hands(address, context):
    host, port = address.removeprefix("tls://").rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), timeout=30)
    with plain, context.wrap_socket(plain) as wrapped:
        # Of TLS 1.3 a client learns with the first byte that it was refused.
        return wrapped.recv(1)


def client_context(folder=None, trusted=None):
    context = ssl.create_default_context(cafile=trusted)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if trusted else ssl.CERT_NONE
    if folder is not None:
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def test_only_the_owner_can_read_the_pair(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir(mode=0o755)
    (folder / "key.pem").touch(mode=0o644)
    for _ in range(2):  # made anew by each supervisor
        make_certificate(folder)
        assert mode(folder) == 0o700
        assert mode(folder / "key.pem") == mode(folder / "certificate.pem") == 0o600
    assert security(folder).require_encryption


def test_only_holders_of_the_certificate_are_let_in(slurm_study, run, standin, tmp_path):
    from distributed import Client

    before = set(listening())
    with opened(slurm_study(), run) as (cluster, _):
        address = cluster.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        assert set(listening()) - before == {("127.0.0.1", int(address.rpartition(":")[2]))}
        # The holder.
        with Client(cluster, set_as_default=False) as client:
            assert client.scheduler_info()["workers"] == {}
        assert shake_hands(address, client_context(run.keys, run.keys / "certificate.pem"))
        # Nobody's certificate, another's, and no TLS at all.
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            shake_hands(address, client_context())
        make_certificate(tmp_path / "other")
        with pytest.raises(ssl.SSLError):
            shake_hands(address, client_context(tmp_path / "other"))
        with pytest.raises(ssl.SSLError, match="verify failed"):
            trusted = tmp_path / "other" / "certificate.pem"
            shake_hands(address, client_context(run.keys, trusted))
        with pytest.raises(OSError):
            Client(address.replace("tls://", "tcp://"), timeout=1.0, set_as_default=False)
    assert not run.keys.exists()


def test_the_address_at_which_it_listens():
    assert listening_address(None, "127.0.0.1") == "127.0.0.1"
    assert listening_address("lo", "127.0.0.1") == "127.0.0.1"
    # What asks for every interface of the stream asks for one address of dask's.
    for host in ("0.0.0.0", "*"):
        assert listening_address("lo", host) == "127.0.0.1"
        assert listening_address(None, host) not in ("0.0.0.0", "*", "")
    with pytest.raises(InputError, match=r"stream\.host: 'no\.such\.node\.invalid' has no address"):
        listening_address(None, "no.such.node.invalid")


@pytest.mark.parametrize("address", ["tcp://192.0.2.7:8786", "192.0.2.7:8786"])
def test_a_scheduler_elsewhere_speaks_tls(address):
    with pytest.raises(InputError, match=r"without TLS.*expected tls://"):
        check_scheduler(address)
    with pytest.raises(InputError, match="nothing answers"):
        check_scheduler(address, timeout=0.1, encryption=False)


def test_certificates_for_a_scheduler_elsewhere_are_looked_at(tmp_path):
    import dask

    with pytest.raises(InputError, match=r"no certificates; expected distributed\.comm\.tls"):
        check_scheduler("tls://127.0.0.1:1")
    make_certificate(tmp_path)
    keys = {"ca-file": "certificate.pem", "client.cert": "certificate.pem", "client.key": "key.pem"}
    tls = {f"distributed.comm.tls.{key}": str(tmp_path / file) for key, file in keys.items()}
    with (
        dask.config.set(tls),
        pytest.raises(InputError, match="nothing answers"),
    ):
        check_scheduler("tls://127.0.0.1:1")
    (tmp_path / "key.pem").unlink()
    with (
        dask.config.set(tls),
        pytest.raises(InputError, match=r"cannot be read \(.*No such file"),
    ):
        check_scheduler("tls://127.0.0.1:1")


def test_one_that_does_not_let_us_in_is_one_line(slurm_study, run, standin):
    import dask

    with opened(slurm_study(), run) as (cluster, _):
        address = cluster.scheduler_address.replace("tls://", "tcp://")
        check_scheduler(address)  # something listens
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(InputError, match=rf"scheduler {address}: what answers there is no dask"),
        ):
            Launcher(address, run, [], at_once=1, retries=0)
