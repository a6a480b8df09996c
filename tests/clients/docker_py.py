"""docker-py, the library of Docker for Python, does to an engine what programs do with it."""

import io
import sys
import tarfile
import time

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{call} was not refused with {kind}")


def eventually(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("never happened")


def tar_of(name, content):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def in_tar(chunks):
    return tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))


def runs(client):
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    terminal = client.containers.run("busybox", "sh -c 'echo tty'", tty=True, remove=True)
    assert terminal == b"tty\r\n", terminal
    script = ["sh", "-c", "echo bad >&2; exit 3"]
    error = refused(ContainerError, lambda: client.containers.run("busybox", script, remove=True))
    assert (error.exit_status, error.stderr) == (3, b"bad\n")
    refused(NotFound, lambda: client.containers.get("nosuch"))
    refused(ImageNotFound, lambda: client.images.get("nosuch"))
    error = refused(APIError, lambda: client.containers.create("busybox", name="bad name"))
    assert error.response.status_code == 400


def execs(box):
    for _ in range(20):
        done = box.exec_run(["sh", "-c", "echo $E; echo err >&2; exit 4"], demux=True)
        assert (done.exit_code, done.output) == (4, (b"1\n", b"err\n")), done
    stream = box.exec_run("cat", stdin=True, socket=True).output
    stream._sock.sendall(b"ping\n")
    stream._sock.shutdown(1)
    said = b""
    while chunk := stream.read(1024):
        said += chunk
    assert said == b"\x01\0\0\0\0\0\0\x05ping\n", said


def copies(box):
    assert box.put_archive("/tmp", tar_of("f", b"abc"))
    chunks, stat = box.get_archive("/tmp/f")
    assert in_tar(chunks).extractfile("f").read() == b"abc" and stat["size"] == 3
    assert any(change["Path"] == "/tmp/f" for change in box.diff())
    assert in_tar(box.export()).getmember("tmp/f").size == 3


def lives(client):
    script = ["sh", "-c", "echo one; echo two >&2; exec sleep 300"]
    box = client.containers.run(
        "busybox", script, detach=True, name="box", labels={"a": "b"}, environment={"E": "1"},
        mem_limit="64m", tmpfs={"/t": "size=1m"}, volumes={"data": {"bind": "/v", "mode": "rw"}},
    )
    assert [found.name for found in client.containers.list(filters={"label": "a=b"})] == ["box"]
    eventually(lambda: box.logs().count(b"\n") == 2)
    assert box.logs(stderr=False) == b"one\n" and box.logs(stdout=False) == b"two\n"
    execs(box)
    copies(box)
    assert "PID" in box.top()["Titles"]
    assert box.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
    box.pause()
    box.reload()
    assert box.status == "paused"
    box.unpause()
    box.rename("other")
    box.update(mem_limit="96m", memswap_limit="192m")
    box.reload()
    assert (box.name, box.attrs["HostConfig"]["Memory"]) == ("other", 96 << 20)
    image = box.commit("made", "v1")
    assert image.tags == ["made:v1"] and image.history()[0]["Id"] == image.id
    box.kill("KILL")
    assert box.wait()["StatusCode"] == 137
    box.start()
    box.restart(timeout=0)
    box.stop(timeout=0)
    box.reload()
    assert box.status == "exited"
    box.remove(v=True)
    client.volumes.get("data").remove()
    return image


def images(client, image):
    saved = b"".join(image.save(named=True))
    client.images.remove("made:v1")
    assert client.images.load(saved)[0].tags == ["made:v1"]
    image = client.images.get("made:v1")
    assert image.tag("again", "x")
    assert sorted(client.images.get(image.id).tags) == ["again:x", "made:v1"]
    client.images.remove(image.id, force=True)
    refused(ImageNotFound, lambda: client.images.get("made:v1"))


def attaches(client):
    box = client.containers.create("busybox", ["cat"], stdin_open=True)
    box.start()
    stream = box.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    stream._sock.sendall(b"hey\n")
    assert stream.read(12) == b"\x01\0\0\0\0\0\0\x04hey\n"
    box.remove(force=True)


def the_rest(client, begin):
    volume = client.volumes.create("volume", labels={"k": "v"})
    assert [found.name for found in client.volumes.list(filters={"label": "k=v"})] == ["volume"]
    volume.remove()
    assert {found.name for found in client.networks.list()} >= {"bridge", "host", "none"}
    events = client.events(since=begin, until=int(time.time()) + 1, decode=True)
    seen = {(event["Type"], event["Action"]) for event in events}
    assert seen >= {("container", "create"), ("container", "die"), ("image", "tag")}, seen
    assert client.df()["Images"] is not None and client.info()["OSType"] == "linux"
    assert client.containers.prune()["SpaceReclaimed"] >= 0


def main():
    begin = int(time.time())
    client = docker.DockerClient(base_url=sys.argv[1], timeout=120)
    assert client.ping()
    runs(client)
    images(client, lives(client))
    attaches(client)
    the_rest(client, begin)
    print("done with docker-py", docker.__version__)


main()
