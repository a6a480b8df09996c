//! What this engine is.

use super::host;
use crate::Engine;
use api_types::Map;
use api_types::system::{ComponentVersion, Ping, PlatformInfo, Version};
use spec::{Failure, Platform};
use std::sync::LazyLock;

/// The engine's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The product.
pub const PRODUCT: &str = "Coffer";

static PING: LazyLock<Ping> = LazyLock::new(|| Ping {
    os: "linux".into(),
    engine_version: VERSION.into(),
    experimental: false,
    // BuildKit is not there yet; with 1 clients build without it.
    builder_version: "1".into(),
    swarm: "inactive".into(),
});

impl Engine {
    /// What the headers of every answer say.
    pub fn ping(&self) -> &'static Ping {
        &PING
    }

    /// The engine and its parts. The API's versions are those of the server, which adds them.
    pub async fn version(&self) -> Result<Version, Failure> {
        let kernel = host::text("/proc/sys/kernel/osrelease").unwrap_or_default();
        let arch = Platform::host().architecture;
        let details = [
            ("Os", "linux"),
            ("Arch", arch.as_str()),
            ("KernelVersion", kernel.as_str()),
            ("Experimental", "false"),
        ];
        let details = details.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let component = |name: &str, details: Map<String>| ComponentVersion {
            name: name.into(),
            version: VERSION.into(),
            details,
        };
        // Clients look for these names; all parts are of this engine.
        let components = vec![
            component("Engine", Map::from_iter(details)),
            component("containerd", Map::default()),
            component("runc", Map::default()),
            component("docker-init", Map::default()),
        ];
        Ok(Version {
            platform: PlatformInfo { name: PRODUCT.into() },
            version: VERSION.into(),
            os: "linux".into(),
            arch,
            components,
            kernel_version: kernel,
            ..Version::default()
        })
    }
}
