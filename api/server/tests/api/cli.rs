//! The `docker` command against this server.

use crate::harness::{Api, saved_busybox, tar};
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

impl Api {
    async fn docker_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.directory().join("config"))
            .env_remove("DOCKER_CONTEXT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        tokio::spawn(async move { stdin.write_all(&input).await.ok() });
        child.wait_with_output().await.unwrap()
    }

    async fn docker(&self, arguments: &[&str]) -> String {
        let output = self.docker_with(arguments, b"").await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "docker {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_shows_the_engine() {
    let api = Api::start().await;
    assert_eq!(api.docker(&["version", "-f", "{{.Server.APIVersion}}"]).await, "1.56\n");
    let components =
        api.docker(&["version", "-f", "{{range .Server.Components}}{{.Name}} {{end}}"]).await;
    assert_eq!(components, "Engine containerd runc docker-init \n");
    let info = api.docker(&["info"]).await;
    assert!(info.contains(" Storage Driver: overlay2\n"), "{info}");
    assert!(info.contains(" Swarm: inactive\n"), "{info}");
    let networks =
        api.docker(&["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]).await;
    assert_eq!(networks, "bridge bridge local\nhost host local\nnone null local\n");
    let subnet = "{{(index .IPAM.Config 0).Subnet}}";
    assert_eq!(
        api.docker(&["network", "inspect", "-f", subnet, "bridge"]).await,
        "172.17.0.0/16\n"
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_loads_names_saves_and_removes_images() {
    let api = Api::start().await;
    let (archive, id) = saved_busybox("busybox:test");
    let loaded = api.docker_with(&["load"], &archive).await;
    assert_eq!(String::from_utf8_lossy(&loaded.stdout), "Loaded image: busybox:test\n");
    let format = ["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"];
    assert_eq!(api.docker(&format).await, format!("busybox:test {id}\n"));
    api.docker(&["tag", "busybox:test", "other:1"]).await;
    assert_eq!(
        api.docker(&["image", "inspect", "-f", "{{.Config.Cmd}}", "other:1"]).await,
        "[sh]\n"
    );
    let history = api.docker(&["history", "--format", "{{.CreatedBy}}", "other:1"]).await;
    assert_eq!(history, "ADD busybox\n");
    let file = api.directory().join("saved.tar");
    api.docker(&["save", "-o", file.to_str().unwrap(), "other:1"]).await;
    assert!(std::fs::metadata(&file).unwrap().len() > 1000);
    assert_eq!(api.docker(&["rmi", "other:1"]).await, "Untagged: other:1\n");
    let removed = api.docker(&["rmi", "busybox:test"]).await;
    assert!(removed.starts_with(&format!("Untagged: busybox:test\nDeleted: {id}\n")), "{removed}");
    let loaded = api.docker(&["load", "-i", file.to_str().unwrap()]).await;
    assert_eq!(loaded, "Loaded image: other:1\n");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_imports_and_prunes() {
    let api = Api::start().await;
    let root = tar(&[("etc/motd", b"hello")]);
    let imported = api.docker_with(&["import", "-c", "CMD [\"x\"]", "-", "mine:1"], &root).await;
    let error = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{error}");
    assert!(String::from_utf8_lossy(&imported.stdout).starts_with("sha256:"));
    assert_eq!(api.docker(&["image", "inspect", "-f", "{{.Config.Cmd}}", "mine:1"]).await, "[x]\n");
    let pruned = api.docker(&["image", "prune", "-a", "-f"]).await;
    assert!(pruned.contains("untagged: mine:1"), "{pruned}");
    assert_eq!(api.docker(&["images", "-q"]).await, "");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_makes_and_removes_volumes() {
    let api = Api::start().await;
    assert_eq!(api.docker(&["volume", "create", "--label", "a=b", "data"]).await, "data\n");
    assert_eq!(api.docker(&["volume", "ls", "-q", "-f", "label=a=b"]).await, "data\n");
    assert_eq!(api.docker(&["volume", "inspect", "-f", "{{.Driver}}", "data"]).await, "local\n");
    assert_eq!(api.docker(&["volume", "rm", "data"]).await, "data\n");
    let missing = api.docker_with(&["volume", "rm", "data"], b"").await;
    let error = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(error, "Error response from daemon: get data: no such volume\n");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_prints_our_sentences_as_errors() {
    let api = Api::start().await;
    let failed = async |arguments: &[&str]| {
        let output = api.docker_with(arguments, b"").await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(
        failed(&["pull", "127.0.0.1:1/nope"]).await,
        "Error response from daemon: Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: \
         connection refused\n"
    );
    assert_eq!(
        failed(&["network", "inspect", "nope"]).await,
        "Error response from daemon: network nope not found\n"
    );
    assert!(failed(&["node", "ls"]).await.contains("This node is not a swarm manager."));
    api.stop().await;
}
