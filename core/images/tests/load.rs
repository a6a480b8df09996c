//! Archives of Docker, of skopeo, and of strangers.

mod common;

use common::{Engine, config, digest, docker_archive, layer, read_file, run, simple, tar};
use std::io::Write as _;

fn busybox() -> Vec<u8> {
    let program = read_file(std::path::Path::new("/bin/busybox"));
    let layers =
        [tar(&[("bin/busybox", &program), ("bin/sh", b"->busybox")]), layer("etc/a", b"1")];
    docker_archive(&config(&layers, ""), &layers, &["busybox:1"])
}

#[tokio::test]
async fn docker_archive_is_loaded_with_its_names_and_layers() {
    let engine = Engine::new();
    let layers = [layer("a", b"one"), layer("b", b"two")];
    let config = config(&layers, r#","unknown":{"kept":true}"#);
    let archive = docker_archive(&config, &layers, &["busybox", "localhost:5000/me/app:2"]);
    let (loaded, lines) = engine.load(archive).await.unwrap();
    assert_eq!(lines, "Loaded image: busybox:latest\nLoaded image: localhost:5000/me/app:2\n");
    let image = &loaded[0].image;
    assert_eq!(image.id, digest(&config));
    assert_eq!(image.size, 6);
    assert_eq!(engine.store.config_bytes(&image.id).unwrap(), config);
    assert_eq!(engine.store.resolve("busybox").unwrap(), *image);
    let mut keys = image.snapshots();
    keys.sort();
    assert_eq!(engine.layers.keys(), keys);
    // Configuration and two layers; the list is not kept.
    assert_eq!(engine.files().len(), 3);
}

#[tokio::test]
async fn layers_are_unpacked_while_the_archive_is_still_being_read() {
    let engine = Engine::new();
    let archive = simple("a", 2, &["x"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (sender, _progress) = tokio::sync::mpsc::unbounded_channel();
    let store = engine.store.clone();
    let load = tokio::spawn(async move { store.load(reader, sender).await });
    // All but the list (a header and one block) and the two blocks of the end.
    let end = archive.len() - 2048;
    writer.write_all(&archive[..end]).unwrap();
    while engine.layers.keys().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    writer.write_all(&archive[end..]).unwrap();
    drop(writer);
    load.await.unwrap().unwrap();
    assert_eq!(engine.layers.unpacked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn second_load_unpacks_nothing_again_and_moves_the_name() {
    let engine = Engine::new();
    engine.load(simple("a", 2, &["x:1"])).await.unwrap();
    engine.load(simple("a", 2, &["x:1"])).await.unwrap();
    assert_eq!(engine.layers.unpacked.lock().unwrap().len(), 2);
    let old = engine.store.resolve("x:1").unwrap().id;
    let (_, lines) = engine.load(simple("b", 1, &["x:1"])).await.unwrap();
    let expected = format!(
        "The image x:1 already exists, renaming the old one with ID {old} to empty string\n\
         Loaded image: x:1\n"
    );
    assert_eq!(lines, expected);
    assert!(engine.store.names(&old).unwrap().is_empty());
}

#[tokio::test]
async fn image_without_a_name_is_told_by_its_id() {
    let engine = Engine::new();
    let (loaded, lines) = engine.load(simple("a", 1, &[])).await.unwrap();
    assert_eq!(lines, format!("Loaded image ID: {}\n", loaded[0].image.id));
}

#[tokio::test]
async fn archive_may_be_compressed_in_any_way() {
    let archive = simple("a", 2, &["x"]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let mut streams = vec![gzip.finish().unwrap(), zstd::encode_all(&archive[..], 1).unwrap()];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    std::fs::write(&path, &archive).unwrap();
    for (program, end) in [("xz", "xz"), ("bzip2", "bz2")] {
        run(program, &["-k", path.to_str().unwrap()]);
        streams.push(read_file(&directory.path().join(format!("a.tar.{end}"))));
    }
    for stream in streams {
        let engine = Engine::new();
        let (_, lines) = engine.load(stream).await.unwrap();
        assert_eq!(lines, "Loaded image: x:latest\n");
    }
}

#[tokio::test]
async fn compressed_layers_are_unpacked_and_kept_as_they_came() {
    let layers = [layer("a", b"one")];
    let config = config(&layers, "");
    let packed = zstd::encode_all(&layers[0][..], 3).unwrap();
    let engine = Engine::new();
    let archive = docker_archive(&config, std::slice::from_ref(&packed), &["x"]);
    let (loaded, _) = engine.load(archive).await.unwrap();
    let kept = &loaded[0].image.layers[0];
    assert_eq!(kept.blob.digest, digest(&packed));
    assert_eq!(kept.blob.media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
    assert_eq!(kept.diff_id, digest(&layers[0]));
}

#[tokio::test]
async fn layers_of_old_archives_may_be_links_to_others() {
    let layers = [layer("a", b"one"), layer("a", b"one"), layer("b", b"two")];
    let config = config(&layers, "");
    let (one, two, three) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
    let paths = [&one, &two, &three].map(|id| format!("{id}/layer.tar"));
    let list =
        serde_json::json!([{ "Config": "c.json", "RepoTags": null, "Layers": paths }]).to_string();
    let link = format!("->../{one}/layer.tar");
    let archive = tar(&[
        (&format!("{one}/VERSION"), b"1.0"),
        (&format!("{one}/json"), b"{}"),
        (&paths[0], &layers[0]),
        (&paths[1], link.as_bytes()),
        (&paths[2], &layers[2]),
        ("c.json", &config),
        ("./manifest.json", list.as_bytes()),
        ("repositories", b"{}"),
    ]);
    let engine = Engine::new();
    let (loaded, _) = engine.load(archive).await.unwrap();
    assert_eq!(loaded[0].image.layers.len(), 3);
    assert_eq!(engine.layers.keys().len(), 3);
    // Two layers and the configuration: nothing of the old metadata is kept.
    assert_eq!(engine.files().len(), 3);
}

#[tokio::test]
async fn save_writes_what_load_reads_and_skopeo_too() {
    let engine = Engine::new();
    let (loaded, _) = engine.load(busybox()).await.unwrap();
    engine.store.tag("busybox:1", "me/box", "2").await.unwrap();
    let archive = engine.save(&["busybox:1", "me/box"]).await;
    assert_eq!(archive, engine.save(&["busybox:1", "me/box"]).await, "same bytes each time");
    let other = Engine::new();
    let (again, lines) = other.load(archive.clone()).await.unwrap();
    assert_eq!(lines, "Loaded image: busybox:1\nLoaded image: me/box:2\n");
    assert_eq!(again[0].image.id, loaded[0].image.id);
    assert!(again[0].image.manifest.is_some(), "the manifest that save made");
    // A second round trip has the same manifest.
    assert_eq!(other.save(&["busybox:1", "me/box"]).await, archive);

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("saved.tar"), &archive).unwrap();
    let copies = [
        (
            format!("docker-archive:{}:busybox:1", path("saved.tar")),
            "d.tar",
            "docker-archive",
            "Loaded image: copy:1\n",
        ),
        (
            format!("docker-archive:{}:busybox:1", path("saved.tar")),
            "o.tar",
            "oci-archive",
            "Loaded image: copy:1\n",
        ),
    ];
    for (from, name, transport, expected) in copies {
        let to = format!("{transport}:{}:copy:1", path(name));
        run("skopeo", &["--insecure-policy", "copy", "-q", &from, &to]);
        let engine = Engine::new();
        let (copied, lines) = engine.load(read_file(&directory.path().join(name))).await.unwrap();
        assert_eq!(lines, expected, "{transport}");
        assert_eq!(copied[0].image.layers.len(), 2, "{transport}");
        assert_eq!(copied[0].image.size, loaded[0].image.size, "{transport}");
    }
    run("tar", &["-xf", &path("saved.tar"), "-C", directory.path().to_str().unwrap()]);
    let layout = format!("oci:{}:1", directory.path().to_str().unwrap());
    run("skopeo", &["--insecure-policy", "copy", "-q", &layout, &format!("dir:{}", path("dir"))]);
}

#[tokio::test]
async fn platform_of_the_host_is_taken_from_an_oci_index() {
    let mut files: Vec<(String, Vec<u8>)> =
        vec![("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut put = |bytes: Vec<u8>| {
        let (digest, size) = (digest(&bytes), bytes.len());
        let name = format!("blobs/sha256/{}", digest.hex());
        if !files.iter().any(|(known, _)| *known == name) {
            files.push((name, bytes));
        }
        serde_json::json!({ "digest": digest, "size": size })
    };
    let describe = |mut value: serde_json::Value, media_type: &str| {
        value["mediaType"] = media_type.into();
        value
    };
    let host = spec::Platform::host().architecture;
    let mut manifests = Vec::new();
    for architecture in ["s390x", &*host] {
        let layer = layer("arch", architecture.as_bytes());
        let config = config(std::slice::from_ref(&layer), "");
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "config": describe(put(config), "application/vnd.oci.image.config.v1+json"),
            "layers": [describe(put(layer), "application/vnd.oci.image.layer.v1.tar")],
        });
        let bytes = manifest.to_string().into_bytes();
        let mut manifest = describe(put(bytes), "application/vnd.oci.image.manifest.v1+json");
        manifest["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
        manifests.push(manifest);
    }
    let inner = serde_json::json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    let mut outer = describe(put(inner.into_bytes()), "application/vnd.oci.image.index.v1+json");
    outer["annotations"] =
        serde_json::json!({ "io.containerd.image.name": "docker.io/library/multi:1" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [outer] }).to_string();
    files.push(("index.json".into(), index.into_bytes()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let engine = Engine::new();
    let (loaded, lines) = engine.load(tar(&files)).await.unwrap();
    assert_eq!(lines, "Loaded image: multi:1\n");
    assert_eq!(loaded[0].image.layers[0].diff_id, digest(&layer("arch", host.as_bytes())));
    // Manifest, configuration and layer of the host; nothing of the other platform stays.
    assert_eq!(engine.files().len(), 3);
}

#[tokio::test]
async fn hostile_archives_are_refused_with_one_sentence_and_leave_nothing() {
    let engine = Engine::new();
    engine.load(simple("kept", 1, &["kept"])).await.unwrap();
    let one = [layer("a", b"one")];
    let good = config(&one, "");
    let list = |config: &str, tags: &str, layers: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":{tags},"Layers":{layers}}}]"#).into_bytes()
    };
    let plain = list("c", "[]", r#"["l"]"#);
    let other = "ab".repeat(32);
    let many = vec!["\"l\""; 128].join(",");
    let many = list("c", "[]", &format!("[{many}]"));
    let windows = br#"{"os":"windows","rootfs":{"diff_ids":[]}}"#.to_vec();
    let cases: Vec<(Vec<u8>, String)> = vec![
        (b"not a tar at all".repeat(100), "load archive: read archive entry number ".into()),
        (tar(&[("x", b"1")]), "load archive: it has neither manifest.json nor index.json with oci-layout".into()),
        (tar(&[("manifest.json", b"{")]), "load archive: manifest.json: manifest.json is not valid: ".into()),
        (tar(&[("manifest.json", &plain)]), "load archive: c is missing, but manifest.json names it".into()),
        (tar(&[("manifest.json", &plain), ("c", &good)]), "load archive: l is missing, but manifest.json names it".into()),
        (tar(&[("manifest.json", &plain), ("c", b"[1]"), ("l", &one[0])]), "load archive: c: image configuration is not valid: ".into()),
        (tar(&[("c", &good), ("c", &good)]), "load archive: entry c occurs twice".into()),
        (tar(&[("c", &good), ("./c", &good)]), "load archive: entry c occurs twice".into()),
        (tar(&[("../c", &good)]), "load archive: entry ../c has an invalid name".into()),
        (tar(&[("a/../../c", &good)]), "load archive: entry a/../../c has an invalid name".into()),
        (tar(&[("l", b"->../../../etc/passwd")]), "load archive: link l leads to no file".into()),
        (tar(&[("manifest.json", &plain), ("c", b"->d"), ("d", b"->c")]), "load archive: link c leads to no file".into()),
        (tar(&[("manifest.json", &plain), ("c", b"->/etc/passwd")]), "load archive: c is missing, but manifest.json names it".into()),
        (tar(&[("manifest.json", &list("../../etc/passwd", "[]", "[]"))]), "load archive: entry ../../etc/passwd has an invalid name".into()),
        (tar(&[(&format!("blobs/sha256/{other}"), b"x")]), "load archive: verify blob sha256:abab".into()),
        (tar(&[("manifest.json", &many), ("c", &good), ("l", &one[0])]), "load archive: manifest.json: manifest.json has 128 layers of one image, more than 127".into()),
        (tar(&[("manifest.json", &list("c", "[]", r#"["l","l"]"#)), ("c", &good), ("l", &one[0])]), "load archive: image c has 2 layers, but its configuration names 1".into()),
        (tar(&[("manifest.json", &list("c", r#"["UP"]"#, r#"["l"]"#)), ("c", &good), ("l", &one[0])]), "load archive: name \"UP\": invalid reference format: repository name (library/UP) must be lowercase".into()),
        (tar(&[("manifest.json", &list("c", "[]", "[]")), ("c", &windows)]), "load archive: image c is for the operating system windows, not for linux".into()),
        (tar(&[("manifest.json", &plain), ("c", &good), ("l", &layer("a", b"two"))]), "load archive: unpack layer sha256:".into()),
        (tar(&[("manifest.json", &vec![b' '; (4 << 20) + 1])]), "load archive: manifest.json has 4194305 bytes, more than 4194304".into()),
        (simple("a", 2, &["x"])[..3000].to_vec(), "load archive: read archive entry ".into()),
    ];
    for (archive, expected) in cases {
        let message = engine.refuse(archive).await;
        assert!(message.starts_with(&expected), "{message}\nshould begin with\n{expected}");
    }
    assert!(engine.store.resolve("kept").is_ok());
}

#[tokio::test]
async fn layer_of_another_content_is_refused_even_when_its_chain_exists() {
    let engine = Engine::new();
    let layers = [layer("a", b"one")];
    let good = config(&layers, "");
    engine.load(docker_archive(&good, &layers, &["x"])).await.unwrap();
    let forged = docker_archive(&good, &[layer("a", b"evil")], &["y"]);
    let message = engine.refuse(forged).await;
    assert!(message.starts_with("load archive: verify layer sha256:"), "{message}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_archive_is_refused_or_loaded_but_never_leaves_garbage(
        at in 0usize..6000, byte: u8, cut in 0usize..6000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = Engine::new();
            let mut archive = simple("a", 2, &["x"]);
            let length = archive.len();
            archive[at % length] ^= byte;
            archive.truncate(length - cut % 700);
            match engine.load(archive).await {
                Ok(_) => assert!(!engine.files().is_empty()),
                Err(_) => {
                    assert_eq!(engine.files(), Vec::<String>::new());
                    assert_eq!(engine.layers.keys(), []);
                }
            }
        });
    }
}
