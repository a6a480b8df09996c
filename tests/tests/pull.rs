//! Images out of a registry: pulled whole, pulled in spite of everything, and without a trace when they are removed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "pull/registry.rs"]
mod registry;

use e2e::{Engine, Traces, eventually, happens, image, send};
use registry::Registry;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Stdio;
use tempfile::TempDir;

/// Not a test by itself: the registry of the others, which runs in a network namespace and so in a process of its own.
#[test]
fn serve_a_registry() {
    if let Some(directory) = std::env::var_os(registry::SERVE) {
        registry::serve(directory.as_ref());
    }
}

/// A tar with busybox as an image's lowest layer.
fn busybox() -> Vec<u8> {
    let root = TempDir::new().unwrap();
    image::busybox_root(root.path());
    let archive = root.path().with_extension("tar");
    image::tar(root.path(), &archive);
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::remove_file(archive).unwrap();
    bytes
}

/// A tar with one file that no compression makes smaller.
fn noise(name: &str, bytes: usize) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let mut state = name.len() as u64 + 88_172_645_463_325_252;
    let content: Vec<u8> = (0..bytes / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    std::fs::write(directory.path().join(name), content).unwrap();
    let archive = directory.path().with_extension("tar");
    image::tar(directory.path(), &archive);
    let tar = std::fs::read(&archive).unwrap();
    std::fs::remove_file(archive).unwrap();
    tar
}

/// The blobs that are whole in an engine's store.
fn whole(engine: &Engine) -> BTreeSet<String> {
    let directory = engine.path("data/content/blobs/sha256");
    let names = std::fs::read_dir(directory).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until the files of an engine are those that it had before.
fn nothing_is_left(engine: &Engine, before: &Traces) {
    let mut difference = Vec::new();
    let same = || {
        difference = Traces::of(engine).difference(before);
        difference.retain(|line| line.contains("file "));
        difference.is_empty()
    };
    assert!(happens(same), "{difference:?}");
}

#[test]
fn a_pulled_image_runs_and_its_removal_leaves_nothing() {
    let engine = Engine::start();
    let registry = Registry::start(&engine);
    registry.put_image("one", &[busybox(), noise("file", 100_000)]);
    let name = registry.name("one");
    let before = Traces::of(&engine);
    let said = engine.docker(&["pull", &name]).text();
    assert!(said.contains("Status: Downloaded newer image for "), "{said}");
    let again = engine.docker(&["pull", &name]).text();
    assert!(again.contains("Status: Image is up to date for "), "{again}");
    assert_eq!(again.matches(": Already exists").count(), 2, "{again}");
    assert_eq!(engine.docker(&["run", "--rm", &name, "wc", "-c", "/file"]).text(), "100000 /file");
    let digest =
        engine.docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &name]).text();
    let digest = digest.trim();
    engine.docker(&["rmi", &name]).text();
    let by_digest = engine.docker(&["pull", "-q", digest]).text();
    assert_eq!(by_digest.trim(), digest);
    engine.docker(&["rmi", digest]).text();
    nothing_is_left(&engine, &before);
}

#[test]
fn refusals_have_the_words_and_codes_that_clients_look_for() {
    let engine = Engine::start();
    let registry = Registry::start(&engine);
    let name = registry.name("none");
    let said = engine.docker(&["pull", &name]).fails(1);
    assert!(
        said.contains(&format!(
            "manifest for {name} not found: manifest unknown: manifest unknown"
        )),
        "{said}"
    );
    let said = engine.docker(&["pull", "127.0.0.1:1/a"]).fails(1);
    assert!(
        said.contains(
            "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused"
        ),
        "{said}"
    );
    let said = engine.docker(&["push", "127.0.0.1:5000/a"]).fails(1);
    assert!(
        said.contains("An image does not exist locally with the tag: 127.0.0.1:5000/a"),
        "{said}"
    );
}

#[test]
fn images_that_are_not_what_they_say_leave_nothing() {
    let engine = Engine::start();
    let registry = Registry::start(&engine);
    let before = Traces::of(&engine);
    let config = |diff_ids: &[&str]| json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let layer = registry.put(&noise("a", 50_000));
    let size = std::fs::metadata(registry.path("blobs").join(&layer[7..])).unwrap().len();
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let good = json!([{"mediaType": kind, "digest": layer, "size": size}]);
    let zero = format!("sha256:{}", "0".repeat(64));
    registry.put_manifest("diff-id", &config(&[&zero]), good.clone());
    registry.put_manifest("count", &config(&[&layer, &layer]), good);
    let long = json!([{"mediaType": kind, "digest": layer, "size": size + 5}]);
    registry.put_manifest("short", &config(&[&layer]), long);
    let short = json!([{"mediaType": kind, "digest": layer, "size": size - 5}]);
    registry.put_manifest("long", &config(&[&layer]), short);
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let foreign =
        json!([{"mediaType": foreign, "digest": layer, "size": size, "urls": ["http://x/"]}]);
    registry.put_manifest("foreign", &config(&[&layer]), foreign);
    // The same name as the digest of something else.
    let other = registry.put(b"other bytes");
    let wrong = registry.put(&noise("b", 50_000));
    std::fs::copy(
        registry.path("blobs").join(&other[7..]),
        registry.path("blobs").join(&wrong[7..]),
    )
    .unwrap();
    let wrong = json!([{"mediaType": kind, "digest": wrong, "size": 11}]);
    registry.put_manifest("wrong", &config(&[&layer]), wrong);
    registry.put_document("old", &json!({"schemaVersion": 1, "name": "a", "fsLayers": []}));
    let platform = json!({"os": "linux", "architecture": "amd64"});
    let mut inner = std::fs::read_to_string(registry.path("tags/wrong")).unwrap();
    for depth in 0..5 {
        let size = std::fs::metadata(registry.path("blobs").join(&inner[7..])).unwrap().len();
        let kind = if depth == 0 { "manifest" } else { "index" };
        let kind = format!("application/vnd.oci.image.{kind}.v1+json");
        let manifests =
            json!([{"mediaType": kind, "digest": inner, "size": size, "platform": platform}]);
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
        inner = registry.put_document("deep", &index);
    }
    for (tag, words) in [
        ("diff-id", "its digest is "),
        ("count", "its manifest has 1 layers and its configuration 2"),
        ("short", "bytes"),
        ("long", "that its manifest says"),
        ("foreign", "is a foreign layer"),
        ("wrong", "verification failed for digest"),
        ("old", "manifests of schema 1 are not supported"),
        ("deep", "its indexes are nested too deeply"),
    ] {
        let said = engine.docker(&["pull", &registry.name(tag)]).fails(1);
        assert!(said.contains(words), "{tag}: {said}");
        assert_eq!(engine.docker(&["images", "-aq"]).text(), "", "{tag}");
    }
    engine.docker(&["image", "prune", "-f"]).text();
    nothing_is_left(&engine, &before);
}

#[test]
fn a_download_goes_on_where_its_connection_broke() {
    let engine = Engine::start();
    let registry = Registry::start(&engine);
    let sizes = registry.put_image("cut", &[noise("a", 700_000), noise("bb", 900_000)]);
    registry.behave("cut", Some("333333"));
    engine.docker(&["pull", &registry.name("cut")]).text();
    let sent = registry.sent();
    for (blob, size) in sizes {
        assert_eq!(sent[&blob], size, "each byte comes once");
    }
    assert!(registry.begun().len() > 5, "{:?}", registry.begun());
}

#[test]
fn a_pull_that_dies_with_any_process_ends_right_when_it_is_repeated() {
    let mut engine = Engine::start();
    let registry = Registry::start(&engine);
    let before = Traces::of(&engine);
    for role in ["api", "storage", "network", "supervisor"] {
        for blobs in [1, 4] {
            let tag = format!("{role}-{blobs}");
            // Layers of its own each time: nothing is there already.
            let layers: Vec<_> = (0..5).map(|at| noise(&format!("{tag}-{at}"), 600_000)).collect();
            registry.put_image(&tag, &layers);
            registry.behave("slow", Some(""));
            let begun = registry.begun().len();
            let name = registry.name(&tag);
            let client = engine
                .client("docker", &["pull", &name])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // The first is the configuration.
            eventually("the pull is under way", || registry.begun().len() > begun + blobs);
            let said;
            if role == "supervisor" {
                engine.end("KILL");
                said = client.wait_with_output().unwrap();
                engine.launch();
            } else {
                let pid = engine.worker(role);
                send("KILL", pid);
                said = client.wait_with_output().unwrap();
                eventually("another worker", || engine.worker(role) != pid);
                eventually("an answer", || engine.docker(&["ps"]).code == 0);
            }
            let have = whole(&engine);
            let begun = registry.begun().len();
            registry.behave("slow", None);
            engine.docker(&["pull", &name]).text();
            let fetched: BTreeSet<_> = registry.begun().split_off(begun).into_iter().collect();
            let config: BTreeSet<_> = fetched.intersection(&have).collect();
            let said = String::from_utf8_lossy(&said.stderr);
            assert!(config.is_empty(), "{tag}: {config:?} was there and came again; {said}");
            engine.docker(&["rmi", &name]).text();
        }
    }
    engine.docker(&["image", "prune", "-f"]).text();
    nothing_is_left(&engine, &before);
}

#[test]
fn a_pull_ends_with_its_client_and_two_at_once_share_one_download() {
    let engine = Engine::start();
    let registry = Registry::start(&engine);
    let sizes = registry.put_image("shared", &[noise("a", 2_000_000)]);
    let name = registry.name("shared");
    registry.behave("slow", Some(""));
    let pull = || {
        let mut command = engine.client("docker", &["pull", &name]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut first = pull();
    eventually("the first is under way", || registry.begun().len() == 2);
    first.kill().unwrap();
    first.wait().unwrap();
    // The registry notices by a broken connection.
    eventually("the download ends", || registry.sent().keys().any(|blob| sizes.contains_key(blob)));
    let (mut one, mut two) = (pull(), pull());
    assert!(one.wait().unwrap().success());
    assert!(two.wait().unwrap().success());
    let (blob, size) = sizes.first_key_value().unwrap();
    let asked = registry.begun().into_iter().filter(|hex| hex == blob).count();
    assert_eq!(asked, 2, "the one that was given up, and one for both");
    assert!(registry.sent()[blob] < size + size / 2, "the second goes on where the first ended");
}
