//! Finding, listing, naming and removing images.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Engine, config, docker_archive, layer, simple, user};
use images::{Filters, NewCommit, RemoveOptions, Removed};
use spec::{Class, Digest, Failure, Reference};
use std::collections::BTreeMap;
use std::slice::from_ref;

const FORCE: RemoveOptions = RemoveOptions { force: true, no_prune: false };

async fn load(engine: &Engine, seed: &str, tags: &[&str]) -> Digest {
    engine.load(simple(seed, 1, tags)).await.unwrap().0[0].image.id.clone()
}

/// An image that was made from `parent`.
async fn child(engine: &Engine, parent: &Digest, name: Option<&str>) -> Digest {
    let commit = NewCommit {
        parent: Some(parent.clone()),
        name: name.map(|name| (name.to_owned(), String::new())),
        ..NewCommit::default()
    };
    let tar = layer("child", parent.hex().as_bytes());
    engine.store.commit(std::io::Cursor::new(tar), commit).await.unwrap().id
}

fn filters(values: &[(&str, &[&str])]) -> Filters {
    let own = |text: &&str| (*text).to_owned();
    let values: BTreeMap<String, Vec<String>> =
        values.iter().map(|(key, list)| (own(key), list.iter().map(own).collect())).collect();
    Filters::parse(&values).unwrap()
}

fn tags(engine: &Engine, values: &[(&str, &[&str])], all: bool) -> Vec<Vec<String>> {
    let list = engine.store.list(&filters(values), all).unwrap();
    let mut tags: Vec<Vec<String>> = list.into_iter().map(|summary| summary.tags).collect();
    tags.sort();
    tags
}

fn untagged(name: &str, image: &Digest) -> Removed {
    Removed::Untagged { name: name.into(), image: image.clone() }
}

async fn conflict(
    engine: &Engine,
    text: &str,
    options: RemoveOptions,
    users: &[images::User],
) -> String {
    let before = engine.files();
    let failure = Failure::from(engine.store.remove(text, options, users).await.unwrap_err());
    assert_eq!((failure.class, engine.files()), (Class::Conflict, before), "{failure}");
    failure.message
}

#[tokio::test]
async fn image_is_found_by_name_id_and_unique_beginning() {
    let engine = Engine::new();
    let id = load(&engine, "a", &["me/app:1"]).await;
    let texts = [
        "me/app:1".to_owned(),
        "docker.io/me/app:1".into(),
        id.to_string(),
        id.hex().into(),
        id.short().into(),
        format!("sha256:{}", id.short()),
    ];
    for text in texts {
        assert_eq!(engine.store.resolve(&text).unwrap().id, id, "{text}");
    }
    for (text, message) in [
        ("me/app".to_owned(), "No such image: me/app:latest".to_owned()),
        ("other:2".into(), "No such image: other:2".into()),
        ("0".repeat(64), format!("No such image: sha256:{}", "0".repeat(64))),
        ("zz".into(), "No such image: zz:latest".into()),
    ] {
        let failure = Failure::from(engine.store.resolve(&text).unwrap_err());
        assert_eq!((failure.class, failure.message), (Class::NotFound, message), "{text}");
    }
    let failure = Failure::from(engine.store.resolve("Up").unwrap_err());
    assert_eq!(failure.class, Class::InvalidArgument);
}

#[tokio::test]
async fn beginning_of_two_ids_finds_none() {
    let engine = Engine::new();
    let mut first = BTreeMap::new();
    for seed in 0..17 {
        let id = load(&engine, &seed.to_string(), &[]).await;
        let letter = id.hex()[..1].to_owned();
        if first.insert(letter.clone(), id).is_some() {
            let failure = Failure::from(engine.store.resolve(&letter).unwrap_err());
            assert_eq!(failure.message, format!("No such image: {letter}:latest"));
            return;
        }
    }
    panic!("seventeen ids with sixteen first digits");
}

#[tokio::test]
async fn list_has_all_filters_of_docker() {
    let engine = Engine::new();
    let old = load(&engine, "old", &["app:1", "app:2", "localhost:5000/x:1"]).await;
    load(&engine, "none", &[]).await;
    let new = child(&engine, &old, Some("new")).await;
    let app = ["app:1", "app:2", "localhost:5000/x:1"].map(String::from).to_vec();
    let new_tags = vec!["new:latest".to_owned()];
    assert_eq!(tags(&engine, &[], false), [vec![], app.clone(), new_tags.clone()]);
    assert_eq!(tags(&engine, &[("dangling", &["true"])], false), [Vec::<String>::new()]);
    assert_eq!(tags(&engine, &[("dangling", &["0"])], false), [app.clone(), new_tags.clone()]);
    assert_eq!(tags(&engine, &[("reference", &["app"])], false), [["app:1", "app:2"]]);
    assert_eq!(tags(&engine, &[("reference", &["*:2", "n*"])], false), [["app:2"], ["new:latest"]]);
    assert_eq!(
        tags(&engine, &[("reference", &["localhost:5000/*"])], false),
        [["localhost:5000/x:1"]]
    );
    assert_eq!(
        tags(&engine, &[("label", &["of=test"]), ("dangling", &["false"])], false),
        from_ref(&app)
    );
    assert_eq!(tags(&engine, &[("label", &["of=other"])], false), Vec::<Vec<String>>::new());
    assert_eq!(tags(&engine, &[("label!", &["of"])], false), from_ref(&new_tags));
    assert_eq!(tags(&engine, &[("since", &["app:1"])], false), from_ref(&new_tags));
    assert_eq!(
        tags(&engine, &[("before", &["new"]), ("dangling", &["false"])], false),
        from_ref(&app)
    );
    assert_eq!(
        tags(&engine, &[("until", &["2024-12-01"]), ("dangling", &["false"])], false),
        from_ref(&app)
    );
    let list = engine.store.list(&Filters::default(), false).unwrap();
    assert_eq!(list[0].image.id, new, "the newest first");
    assert_eq!(list[0].shared_size, engine.store.get(&old).unwrap().unwrap().size);
    for (key, value, message) in [
        ("x", "1", "invalid filter 'x'"),
        ("dangling", "maybe", "invalid filter 'dangling=maybe'"),
        ("until", "soon", "invalid filter 'until=soon'"),
    ] {
        let values = BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]);
        assert_eq!(Filters::parse(&values).unwrap_err().to_string(), message);
    }
    let missing = engine.store.list(&filters(&[("before", &["nothing"])]), false).unwrap_err();
    assert_eq!(missing.to_string(), "No such image: nothing:latest");
    let pattern = engine.store.list(&filters(&[("reference", &["[a"])]), false).unwrap_err();
    assert_eq!(pattern.to_string(), "invalid filter 'reference': syntax error in pattern [a");
}

#[tokio::test]
async fn tag_refuses_what_docker_refuses_and_moves_names() {
    let engine = Engine::new();
    let one = load(&engine, "one", &["one"]).await;
    let two = load(&engine, "two", &["two"]).await;
    let (id, name) = engine.store.tag("two", "ONE.local/one", "").await.unwrap();
    assert_eq!((id, name.familiar()), (two.clone(), "ONE.local/one:latest".into()));
    engine.store.tag(one.short(), "two", "").await.unwrap();
    assert_eq!(engine.store.resolve("two").unwrap().id, one);
    for (repository, tag, message) in [
        (
            "a@sha256:".to_owned() + one.hex(),
            "",
            "refusing to create a tag with a digest reference",
        ),
        (
            "sha256".into(),
            "x",
            "refusing to create an ambiguous tag using digest algorithm as name",
        ),
        ("a".into(), "b c", "invalid tag format"),
        (String::new(), "", "invalid reference format"),
    ] {
        let failure = Failure::from(engine.store.tag("two", &repository, tag).await.unwrap_err());
        assert_eq!((failure.class, &*failure.message), (Class::InvalidArgument, message));
    }
}

#[tokio::test]
async fn removing_one_of_several_names_only_untags() {
    let engine = Engine::new();
    let id = load(&engine, "a", &["a:1", "b:1"]).await;
    let removed = engine.store.remove("a:1", RemoveOptions::default(), &[]).await.unwrap();
    assert_eq!(removed, [untagged("a:1", &id)]);
    let image = engine.store.resolve("b:1").unwrap();
    let removed = engine.store.remove("b:1", RemoveOptions::default(), &[]).await.unwrap();
    let layer = Removed::Layer(image.layers[0].chain.clone());
    assert_eq!(removed, [untagged("b:1", &id), Removed::Deleted(id), layer]);
    assert_eq!((engine.files(), engine.layers.keys()), (vec![], vec![]));
}

#[tokio::test]
async fn last_tag_of_a_repository_takes_its_digests_along() {
    let engine = Engine::new();
    let id = load(&engine, "a", &["a:1"]).await;
    let digest = Reference::parse(&format!("a@sha256:{}", "1".repeat(64))).unwrap();
    engine.store.name(&id, from_ref(&digest)).await.unwrap();
    assert_eq!(
        engine.store.list(&Filters::default(), false).unwrap()[0].digests,
        [digest.familiar()]
    );
    assert_eq!(engine.store.resolve(&format!("a:9@sha256:{}", "1".repeat(64))).unwrap().id, id);
    let removed = engine.store.remove("a:1", RemoveOptions::default(), &[]).await.unwrap();
    assert_eq!(removed[..2], [untagged("a:1", &id), untagged(&digest.familiar(), &id)]);
    assert_eq!(removed[2], Removed::Deleted(id));
}

#[tokio::test]
async fn image_in_use_is_kept_with_dockers_words() {
    let engine = Engine::new();
    let id = load(&engine, "a", &["a:1"]).await;
    let (stopped, running) = ([user('c', &id, false)], [user('c', &id, true)]);
    let (short, none) = (id.short(), RemoveOptions::default());
    assert_eq!(
        conflict(&engine, "a:1", none, &stopped).await,
        format!(
            "conflict: unable to remove repository reference \"a:1\" (must force) - container cccccccccccc is using its referenced image {short}"
        )
    );
    assert_eq!(
        conflict(&engine, short, none, &stopped).await,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container cccccccccccc"
        )
    );
    assert_eq!(
        conflict(&engine, short, FORCE, &running).await,
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container cccccccccccc"
        )
    );
    // By name and with force, a running container's image only loses the name.
    let removed = engine.store.remove("a:1", FORCE, &running).await.unwrap();
    assert_eq!(removed, [untagged("a:1", &id)]);
    assert!(engine.store.get(&id).unwrap().is_some());
    engine.store.tag(short, "a", "1").await.unwrap();
    engine.store.tag(short, "b", "1").await.unwrap();
    assert_eq!(
        conflict(&engine, short, none, &[]).await,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    );
    let removed = engine.store.remove(short, FORCE, &[]).await.unwrap();
    assert_eq!(removed[..2], [untagged("a:1", &id), untagged("b:1", &id)]);
}

#[tokio::test]
async fn layers_under_a_stopped_container_outlive_its_image() {
    let engine = Engine::new();
    let id = load(&engine, "a", &["a"]).await;
    let image = engine.store.resolve("a").unwrap();
    let mut container = user('c', &id, false);
    container.layers = image.snapshots();
    let users = [container];
    let removed = engine.store.remove("a", FORCE, &users).await.unwrap();
    assert_eq!(removed, [untagged("a:latest", &id), Removed::Deleted(id)]);
    assert_eq!(engine.layers.keys(), image.snapshots());
    engine.store.collect(&users, engine.layers.keys()).await.unwrap();
    assert_eq!(engine.layers.keys(), image.snapshots());
    let collected = engine.store.collect(&[], vec![]).await.unwrap();
    assert_eq!(collected.layers, image.snapshots());
    assert_eq!(engine.layers.keys(), []);
}

#[tokio::test]
async fn parents_without_a_name_go_with_their_last_child() {
    let engine = Engine::new();
    let base = load(&engine, "a", &[]).await;
    let middle = child(&engine, &base, None).await;
    let top = child(&engine, &middle, Some("top")).await;
    assert_eq!(
        conflict(&engine, middle.short(), FORCE, &[]).await,
        format!(
            "conflict: unable to delete {} (cannot be forced) - image has dependent child images",
            middle.short()
        )
    );
    let history = engine.store.history("top").unwrap();
    let ids: Vec<_> = history.iter().map(|item| item.id.clone()).collect();
    assert_eq!(ids, [Some(top.clone()), Some(middle.clone())]);
    assert_eq!((&*history[0].tags, history[0].size), (&["top:latest".to_owned()][..], 64));
    let keep = RemoveOptions { force: false, no_prune: true };
    let removed = engine.store.remove("top", keep, &[]).await.unwrap();
    assert_eq!(removed.len(), 3, "{removed:?}");
    child(&engine, &middle, Some("top")).await;
    let removed = engine.store.remove("top", RemoveOptions::default(), &[]).await.unwrap();
    let deleted: Vec<_> = removed.iter().filter(|r| matches!(r, Removed::Deleted(_))).collect();
    assert_eq!(deleted[1..], [&Removed::Deleted(middle), &Removed::Deleted(base)]);
    assert_eq!((engine.files(), engine.layers.keys()), (vec![], vec![]));
}

#[tokio::test]
async fn prune_takes_unnamed_images_or_all_unused_ones() {
    let engine = Engine::new();
    let used = load(&engine, "used", &["used"]).await;
    let unnamed = load(&engine, "none", &[]).await;
    let free = load(&engine, "free", &["free:1", "free:2"]).await;
    let users = [user('c', &used, false)];
    let pruned = engine.store.prune(&Filters::default(), &users).await.unwrap();
    assert_eq!(pruned.removed[0], Removed::Deleted(unnamed));
    assert_eq!(pruned.removed.len(), 2);
    let all = filters(&[("dangling", &["false"])]);
    let before: u64 = engine.store.disk_usage().unwrap();
    let pruned = engine.store.prune(&all, &users).await.unwrap();
    assert_eq!(
        pruned.removed[..3],
        [untagged("free:1", &free), untagged("free:2", &free), Removed::Deleted(free)]
    );
    assert_eq!(pruned.reclaimed, before - engine.store.disk_usage().unwrap());
    assert!(engine.store.resolve("used").is_ok());
    assert_eq!(
        engine.store.prune(&filters(&[("label", &["none"])]), &[]).await.unwrap().removed,
        []
    );
}

#[tokio::test]
async fn kept_image_loses_its_layers_only_after_the_lease() {
    let engine = Engine::new();
    load(&engine, "a", &["a"]).await;
    let image = engine.store.resolve("a").unwrap();
    let lease = engine.store.keep(&image).await.unwrap();
    engine.store.remove("a", RemoveOptions::default(), &[]).await.unwrap();
    assert_eq!(engine.layers.keys(), image.snapshots());
    drop(lease);
    engine.store.collect(&[], vec![]).await.unwrap();
    assert_eq!((engine.files(), engine.layers.keys()), (vec![], vec![]));
    assert!(engine.store.keep(&image).await.is_err());
}

#[tokio::test]
async fn shared_layers_stay_until_the_last_image_of_them() {
    let engine = Engine::new();
    let shared = layer("s", b"shared");
    for (name, own) in [("one", "1"), ("two", "2")] {
        let layers = [shared.clone(), layer("o", own.as_bytes())];
        engine.load(docker_archive(&config(&layers, ""), &layers, &[name])).await.unwrap();
    }
    assert_eq!(engine.layers.keys().len(), 3);
    let removed = engine.store.remove("one", RemoveOptions::default(), &[]).await.unwrap();
    assert_eq!(removed.iter().filter(|r| matches!(r, Removed::Layer(_))).count(), 1);
    assert_eq!(engine.layers.keys().len(), 2);
}
