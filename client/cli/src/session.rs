//! What every command needs: the configuration, and the engine.

use crate::arg::Flags;
use crate::config::Config;
use crate::failure::Failure;
use crate::host;
use client_http::Client;
use std::path::PathBuf;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What this program was built from, when the build says so.
pub(crate) const BUILD: &str = match option_env!("COFFER_GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The flags before the command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    pub(crate) config: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) debug: bool,
    pub(crate) tls: bool,
    pub(crate) tls_verify: Option<bool>,
    pub(crate) tls_ca: Option<String>,
    pub(crate) tls_cert: Option<String>,
    pub(crate) tls_key: Option<String>,
}

impl Globals {
    pub(crate) fn new(flags: &Flags) -> Self {
        let text = |name: &str| flags.text_of(name).map(str::to_owned);
        Self {
            config: text("config"),
            context: text("context"),
            hosts: flags.all("host"),
            debug: flags.on("debug"),
            tls: flags.on("tls"),
            tls_verify: flags.given("tlsverify").then(|| flags.on("tlsverify")),
            tls_ca: text("tlscacert"),
            tls_cert: text("tlscert"),
            tls_key: text("tlskey"),
        }
    }
}

/// The configuration, and the engine once somebody asks for it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) globals: Globals,
    pub(crate) config: Config,
    pub(crate) program: &'static str,
}

impl Session {
    pub(crate) fn new(globals: Globals, program: &'static str) -> Result<Self, Failure> {
        let directory = globals.config.clone().map(PathBuf::from);
        let directory = directory.or_else(|| host::variable("DOCKER_CONFIG").map(PathBuf::from));
        let directory = directory.unwrap_or_else(|| {
            PathBuf::from(host::variable("HOME").unwrap_or_default()).join(".docker")
        });
        Ok(Self { config: Config::read(directory), globals, program })
    }

    /// The engine, in the version that both speak.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let mut client = self.unasked_client()?;
        if self.pinned_version().is_none() {
            let ping = client.ping().await?;
            client.negotiate(&ping);
        }
        Ok(client)
    }

    /// The engine, before it was asked for its version.
    pub(crate) fn unasked_client(&self) -> Result<Client, Failure> {
        let endpoint = host::endpoint(&self.globals, &self.config)?;
        let mut headers = self.config.headers();
        headers.extend(custom_headers());
        Ok(Client::new(endpoint, headers, self.pinned_version()))
    }

    fn pinned_version(&self) -> Option<String> {
        host::variable("DOCKER_API_VERSION")
            .map(|version| version.trim_start_matches('v').to_owned())
    }

    /// The format that the configuration gives to a kind of list; empty if none.
    pub(crate) fn configured(&self, key: &str) -> String {
        self.config.text(key).to_owned()
    }
}

fn custom_headers() -> Vec<(String, String)> {
    let text = host::variable("DOCKER_CUSTOM_HEADERS").unwrap_or_default();
    crate::parse::csv::fields(&text)
        .iter()
        .filter_map(|field| {
            field.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
