//! `coffer-runtime` as engines and people call it: the life of a container, what a kill leaves, and the engines that use
//! it in runc's place.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "oci/containerd.rs"]
mod containerd;
#[path = "oci/dockerd.rs"]
mod dockerd;
#[path = "oci/exec.rs"]
mod exec;
#[path = "oci/kills.rs"]
mod kills;
#[path = "oci/life.rs"]
mod life;
#[path = "oci/limits.rs"]
mod limits;
#[path = "oci/output.rs"]
mod output;
#[path = "oci/podman.rs"]
mod podman;
#[path = "oci/rig.rs"]
mod rig;
#[path = "oci/rootless.rs"]
mod rootless;
#[path = "oci/terminal.rs"]
mod terminal;
