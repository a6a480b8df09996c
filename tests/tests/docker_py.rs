//! docker-py drives an engine: `tests/clients/docker_py.py`.
//!
//! `./dev setup` brings it into `target/clients`. Where it could not be had this test says so and ends.

use e2e::{Engine, Said};
use std::path::PathBuf;

fn library() -> Option<PathBuf> {
    let built = e2e::program("cofferd");
    let clients = built.ancestors().find(|path| path.ends_with("target"))?.join("clients");
    let found = clients.join("python");
    if found.join("docker").is_dir() {
        return Some(found);
    }
    eprintln!("docker-py is not in {}: nothing was tested", found.display());
    None
}

#[test]
fn docker_py_finds_what_it_expects_of_an_engine() {
    let Some(library) = library() else { return };
    let engine = Engine::with_busybox();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/docker_py.py");
    let mut python = engine.client("python3", &["-B", script, &engine.host()]);
    let said: Said = python.env("PYTHONPATH", library).output().unwrap().into();
    assert!(said.text().starts_with("done with docker-py "));
}
