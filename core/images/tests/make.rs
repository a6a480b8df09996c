//! Import and commit.

mod common;

use common::{Engine, digest, layer, simple};
use images::{NewCommit, NewImport};
use spec::image::RunConfig;
use spec::{Class, Failure};
use std::io::Cursor;

#[tokio::test]
async fn import_makes_an_image_of_one_layer_with_its_changes() {
    let engine = Engine::new();
    let tar = layer("a", b"hello");
    let import = NewImport {
        name: Some(("me/root".into(), "1".into())),
        changes: vec!["CMD [\"/a\"]".into(), "ENV A=1".into()],
        ..NewImport::default()
    };
    let packed = zstd::encode_all(&tar[..], 1).unwrap();
    let image = engine.store.import(Cursor::new(packed), import).await.unwrap();
    assert_eq!(engine.store.resolve("me/root:1").unwrap(), image);
    assert_eq!((image.layers.len(), image.size), (1, 5));
    assert_eq!(image.layers[0].diff_id, digest(&tar));
    let config = engine.store.config(&image.id).unwrap();
    assert_eq!(config.config.cmd, Some(vec!["/a".to_owned()]));
    assert_eq!(config.config.env, ["A=1"]);
    assert_eq!(config.history[0].comment, "Imported from -");
    assert_eq!(config.os, "linux");
    assert_eq!(engine.files().len(), 2);
}

#[tokio::test]
async fn import_of_what_is_no_tar_leaves_nothing() {
    let engine = Engine::new();
    let input = Cursor::new(vec![b'x'; 5000]);
    let failure = engine.store.import(input, NewImport::default()).await.unwrap_err();
    assert_eq!(Failure::from(failure).class, Class::InvalidArgument);
    let wrong = NewImport { changes: vec!["RUN x".into()], ..NewImport::default() };
    let failure = engine.store.import(Cursor::new(vec![]), wrong).await.unwrap_err();
    assert_eq!(failure.to_string(), "run is not a valid change command");
    assert_eq!((engine.files(), engine.layers.keys()), (vec![], vec![]));
}

#[tokio::test]
async fn commit_adds_a_layer_and_a_step_and_keeps_what_is_not_known() {
    let engine = Engine::new();
    engine.load(simple("base", 2, &["base"])).await.unwrap();
    let base = engine.store.resolve("base").unwrap();
    let commit = NewCommit {
        parent: Some(base.id.clone()),
        config: RunConfig { user: "me".into(), ..RunConfig::default() },
        changes: vec!["WORKDIR /w".into()],
        container: "c".repeat(64),
        created_by: "sh -c x".into(),
        author: "somebody".into(),
        comment: "why".into(),
        name: Some(("made".into(), String::new())),
        ..NewCommit::default()
    };
    let tar = layer("new", b"12345");
    let image = engine.store.commit(Cursor::new(tar.clone()), commit.clone()).await.unwrap();
    assert_eq!(engine.store.resolve("made").unwrap(), image);
    assert_eq!((image.layers.len(), image.size), (3, base.size + 5));
    assert_eq!(image.parent, Some(base.id.clone()));
    let config = engine.store.config(&image.id).unwrap();
    assert_eq!((&*config.config.user, &*config.config.working_dir), ("me", "/w"));
    assert_eq!(config.other["seed"], "base");
    assert_eq!(config.other["container"], "c".repeat(64));
    let step = config.history.last().unwrap();
    assert_eq!((&*step.created_by, &*step.comment, step.empty_layer), ("sh -c x", "why", false));

    // A tar without entries makes no layer.
    let empty = engine.store.commit(Cursor::new(vec![0; 1024]), commit).await.unwrap();
    assert_eq!(empty.layers.len(), 2);
    assert!(engine.store.config(&empty.id).unwrap().history.last().unwrap().empty_layer);
}

#[tokio::test]
async fn commit_over_the_most_layers_is_refused() {
    let engine = Engine::new();
    engine.load(simple("base", 127, &["base"])).await.unwrap();
    let base = engine.store.resolve("base").unwrap();
    let files = engine.files();
    let commit = NewCommit { parent: Some(base.id), ..NewCommit::default() };
    let failure = engine.store.commit(Cursor::new(layer("n", b"1")), commit).await.unwrap_err();
    let message = Failure::from(failure).message;
    assert!(message.ends_with("has 128 layers, more than 127"), "{message}");
    assert_eq!(engine.files(), files);
}
