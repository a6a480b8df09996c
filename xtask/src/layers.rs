//! Which crate imports which, against layers.toml.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;

#[derive(Deserialize)]
struct Layer {
    crates: Vec<String>,
    imports: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Set for crates of this workspace.
    path: Option<String>,
}

/// Fails with one line per wrong edge.
pub(crate) fn check() -> Result<(), String> {
    let text = std::fs::read_to_string("layers.toml").map_err(|e| format!("layers.toml: {e}"))?;
    let layers = toml::from_str(&text).map_err(|e| format!("layers.toml: {e}"))?;
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let wrong = wrong_edges(&layers, &metadata);
    if wrong.is_empty() {
        println!("layers: {} crates, every import points downwards", metadata.packages.len());
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn wrong_edges(layers: &BTreeMap<String, Layer>, metadata: &Metadata) -> Vec<String> {
    let layer_of = |name: &str| {
        layers.iter().find(|(_, layer)| layer.crates.iter().any(|member| member == name))
    };
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some((layer_name, layer)) = layer_of(&package.name) else {
            wrong.push(format!("{} is in no layer", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let Some((target, _)) = layer_of(&dependency.name) else { continue };
            if target != layer_name && !layer.imports.contains(target) {
                let (from, to) = (&package.name, &dependency.name);
                wrong.push(format!("{from} ({layer_name}) must not import {to} ({target})"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> BTreeMap<String, Layer> {
        toml::from_str(
            "[low]\ncrates = [\"a\", \"b\"]\nimports = []\n[high]\ncrates = [\"c\"]\nimports = [\"low\"]",
        )
        .unwrap()
    }

    fn package(name: &str, imports: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).into(), path: Some("/".into()) };
        Package { name: name.into(), dependencies: imports.iter().map(dependency).collect() }
    }

    #[test]
    fn an_import_upwards_is_wrong_and_one_downwards_or_within_the_layer_is_not() {
        let packages = vec![package("c", &["a"]), package("b", &["a"]), package("a", &["c"])];
        let wrong = wrong_edges(&layers(), &Metadata { packages });
        assert_eq!(wrong, ["a (low) must not import c (high)"]);
    }

    #[test]
    fn a_crate_in_no_layer_is_wrong() {
        let wrong = wrong_edges(&layers(), &Metadata { packages: vec![package("x", &[])] });
        assert_eq!(wrong, ["x is in no layer"]);
    }
}
