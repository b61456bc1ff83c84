"""A local S3 API behind a proxy that misbehaves: all samples, or one paragraph in bounded time."""

import boto3
import pytest
import s3fs
from fake import write_fake_pairs
from misbehaving import at_most, misbehaving, server
from moto.server import ThreadedMotoServer

from data_modules import PretrainData, download
from data_modules.shards import ShardSet
from data_modules.store import StoreOptions
from softmask.errors import InputError

FAULTS = ("reset", "cut", "stall", "500", "503", "silent", "garbage", "norange", "corrupt")
COUNT = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fake_pairs(tmp_path_factory.mktemp("s3"), COUNT, shard_size=4)


@pytest.fixture(scope="module")
def port(folder):
    """A bucket `pairs` with the shards under `train`."""
    api = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    api.start()
    host, port = api.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="pairs")
        for name in ("index.json", *(f"{number:05d}.tar" for number in range(5))):
            client.upload_file(f"{folder}/{name}", "pairs", f"train/{name}")
        yield port
    api.stop()


@pytest.fixture
def through(port, monkeypatch):
    """Let s3:// go through a proxy with faults."""
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.002)

    def start(choose=lambda *_: None):
        proxy = misbehaving(server("127.0.0.1", port), choose)
        running = proxy.__enter__()
        opened.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        s3fs.S3FileSystem.clear_instance_cache()
        return running

    opened = []
    yield start
    for proxy in opened:
        proxy.__exit__(None, None, None)
    s3fs.S3FileSystem.clear_instance_cache()


def samples(shards):
    return [shards.read(number)._replace(shard="") for number in range(len(shards))]


@pytest.mark.parametrize("path", ["train", "train/index.json", "train/{00000..00004}.tar"])
def test_a_bucket_holds_what_the_folder_holds(through, folder, tmp_path, path):
    through()
    options = StoreOptions(str(tmp_path / "cache"), timeout=5)
    assert samples(ShardSet(f"s3://pairs/{path}", options)) == samples(ShardSet(folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_mended(through, folder, tmp_path, fault):
    proxy = through(lambda path, number: fault if ".tar" in path and number == 0 else None)
    options = StoreOptions(str(tmp_path / "cache"), retries=10, timeout=1)
    with at_most(60):
        assert samples(ShardSet("s3://pairs/train", options)) == samples(ShardSet(folder))
    assert proxy.faults[fault] == 5


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_ends_in_bounded_time(through, tmp_path, fault):
    through(lambda path, _: fault if path.endswith(".tar") else None)
    options = StoreOptions(str(tmp_path / "cache"), retries=1, timeout=1)
    ShardSet("s3://pairs/train", StoreOptions(timeout=10))  # the first session takes its time
    shards = ShardSet("s3://pairs/train", options)
    with at_most(10):
        if fault == "norange":
            shards.read(0)  # a whole shard is one request here
        else:
            with pytest.raises(InputError, match=r"s3://pairs/train/00000\.tar cannot be fetched"):
                shards.read(0)


def test_what_is_not_there_is_asked_for_once(through, tmp_path):
    proxy = through()
    options = StoreOptions(str(tmp_path / "cache"), timeout=5)
    with pytest.raises(InputError, match=r"s3://pairs/nowhere/index\.json .*after 1 try"):
        ShardSet("s3://pairs/nowhere", options)
    assert sum(proxy.requests.values()) < 5


@pytest.mark.parametrize("workers", [0, 2])
def test_training_from_a_bucket_that_misbehaves(through, folder, tmp_path, workers):
    faults = ["503", "cut", None]
    through(lambda path, number: faults[min(number, 2)] if ".tar" in path else None)
    options = StoreOptions(str(tmp_path / "cache"), retries=10, timeout=2)

    def positions(train, workers):
        data = PretrainData(train, image_size=16, batch_size=4, workers=workers, store=options)
        found = [batch["position"].tolist() for batch in data.train_dataloader()]
        data.teardown("fit")
        return found

    with at_most(60):
        assert positions("s3://pairs/train", workers) == positions(folder, 0)
