//! A registry server: the distribution specification 1.1 over HTTP/1.1, plain or TLS.
//!
//! This crate reads requests, bounds them, asks who may do what, and calls the store ([`repositories`]); it never knows
//! how anything lies on the disk, and opens no socket: those arrive bound. What a client sends decides no path, no
//! length of memory and no time that is not bounded here.
//!
//! Reading order: [`Registry`] and [`Options`]; `listen` (connections); `answer` (one request), `address` (which path
//! is which route), `exchange`; `blobs`, `uploads`, `manifests`, `lists` (one file per area); `receive` (bodies in),
//! `body`, `outgoing` and `socket` (bodies out); `failure` (the specification's codes); `access` (users, rules,
//! tokens); `upstream` (the pull-through cache); `metrics`; `tls`.
//!
//! # Tasks
//!
//! One task per connection runs hyper and, in it, the requests one after the other; a client that leaves ends its
//! request, and an upload keeps what it has. What blocks for the disk runs in blocking threads, except for opening and
//! reading small files that are most likely in the page cache. One task per blob that comes from the upstream, which
//! ends when the blob is there; one task collects garbage from time to time.
//!
//! # Limits
//!
//! Connections, bodies that are received at the same time, heads of requests, manifests, blobs, pages of lists, passwords
//! that are checked at the same time; deadlines for heads, handshakes, and for clients that send or take nothing.

#![forbid(unsafe_code)]

mod access;
mod address;
mod answer;
mod blobs;
mod body;
mod exchange;
mod failure;
mod listen;
mod lists;
mod manifests;
mod metrics;
mod outgoing;
mod range;
mod receive;
mod socket;
mod tls;
mod uploads;
mod upstream;

use access::issue::Issuer;
use access::rules::Rules;
use access::token::Tokens;
use access::{Access, htpasswd, keys};
use metrics::Metrics;
use repositories::{Collection, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

pub use access::Action;
pub use access::htpasswd::HtpasswdError;
pub use access::keys::KeyError;
pub use access::rules::Rule;
pub use range::{Wanted, parse_content_range, parse_range};
pub use tls::{TlsError, TlsFiles};
pub use upstream::UpstreamOptions;
pub use upstream::challenge::{Challenge, parse_challenge};
pub use upstream::client::UpstreamSetupError;

/// How users are known.
#[derive(Debug, Clone, Default)]
pub enum AccessOptions {
    /// They are not, and everybody may do everything.
    #[default]
    Open,
    /// By a password with each request.
    Passwords {
        /// Apache's password file, with bcrypt.
        file: PathBuf,
        /// Who may do what.
        rules: Vec<Rule>,
        /// What clients are shown.
        realm: String,
    },
    /// By tokens that this registry gives out for passwords.
    OwnTokens {
        /// Apache's password file, with bcrypt.
        file: PathBuf,
        /// Who may do what.
        rules: Vec<Rule>,
        /// The registry's name in tokens.
        service: String,
    },
    /// By tokens that another server gives out.
    Tokens {
        /// Where clients get them.
        realm: String,
        /// The registry's name in them.
        service: String,
        /// Who gives them out.
        issuer: String,
        /// Certificates whose keys sign them, in PEM.
        certificates: Option<Vec<u8>>,
        /// A JSON Web Key Set of keys that sign them.
        key_set: Option<Vec<u8>>,
    },
}

/// How a registry behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may do what.
    pub access: AccessOptions,
    /// TLS for clients; plain HTTP when missing.
    pub tls: Option<TlsFiles>,
    /// Nothing may be written or deleted.
    pub read_only: bool,
    /// Clients may delete.
    pub delete: bool,
    /// The most bytes of a manifest.
    pub manifest_limit: usize,
    /// The most bytes of a blob.
    pub blob_limit: Option<u64>,
    /// Connections of one listener at the same time; further ones are closed.
    pub connections: usize,
    /// Bodies that are received at the same time; each takes up to half a megabyte of memory.
    pub bodies: usize,
    /// Requests that run when the registry stops get this long.
    pub stop_deadline: Duration,
    /// `/metrics` is answered to everybody.
    pub metrics_path: bool,
    /// A line per request is logged.
    pub access_log: bool,
    /// A registry that this one is a cache of.
    pub upstream: Option<UpstreamOptions>,
    /// What is collected.
    pub collection: Collection,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: AccessOptions::Open,
            tls: None,
            read_only: false,
            delete: true,
            manifest_limit: 4 << 20,
            blob_limit: None,
            connections: 4096,
            bodies: 128,
            stop_deadline: Duration::from_secs(30),
            metrics_path: false,
            access_log: true,
            upstream: None,
            collection: Collection::default(),
        }
    }
}

/// Why a registry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The users.
    #[error(transparent)]
    Users(#[from] HtpasswdError),
    /// The keys of tokens.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
}

/// A registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    options: Options,
    access: Access,
    issuer: Option<Issuer>,
    tls: Option<tls::Tls>,
    upstream: Option<Arc<upstream::Upstream>>,
    metrics: Arc<Metrics>,
    bodies: Semaphore,
    stopping: watch::Sender<bool>,
}

impl Shared {
    /// Waits for [`Registry::stop`].
    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as this does.
        stopping.wait_for(|stop| *stop).await.map(|_| ()).unwrap_or_default();
    }
}

impl Registry {
    /// A registry on `store`. Blocks for the files that the options name.
    pub fn new(store: Store, options: Options) -> Result<Self, SetupError> {
        let (access, issuer) = access(&store, &options.access)?;
        let tls = options.tls.clone().map(tls::Tls::load).transpose()?;
        let metrics = Arc::new(Metrics::default());
        let upstream = options.upstream.as_ref().map(|upstream| {
            let (store, metrics) = (store.clone(), Arc::clone(&metrics));
            upstream::Upstream::new(upstream, store, options.manifest_limit, metrics)
        });
        let upstream = upstream.transpose()?.map(Arc::new);
        let bodies = Semaphore::new(options.bodies);
        let (stopping, _) = watch::channel(false);
        let shared =
            Shared { store, options, access, issuer, tls, upstream, metrics, bodies, stopping };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Ends every [`Registry::serve`]: no further connection is taken, requests that run are answered.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Reads the certificate again. The password file is read again by itself.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.shared.tls.as_ref().map_or(Ok(()), tls::Tls::reload)
    }

    /// Collects garbage every `interval`, until [`Registry::stop`].
    pub async fn collect_every(&self, interval: Duration) {
        loop {
            tokio::select! {
                () = self.shared.stopped() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let registry = self.clone();
            let pass = tokio::task::spawn_blocking(move || {
                let shared = &registry.shared;
                let go_on = || !*shared.stopping.borrow();
                shared.store.collect(&shared.options.collection, &go_on)
            });
            match pass.await {
                Ok(Ok(collected)) => {
                    self.shared.metrics.collection(&collected);
                    if collected != repositories::Collected::default() {
                        tracing::info!(?collected, "collected garbage");
                    }
                }
                Ok(Err(error)) => {
                    tracing::error!(error = %failure::chain(&error), "collect garbage");
                }
                Err(error) => tracing::error!(%error, "collect garbage"),
            }
        }
    }
}

fn access(store: &Store, options: &AccessOptions) -> Result<(Access, Option<Issuer>), SetupError> {
    Ok(match options.clone() {
        AccessOptions::Open => (Access::Open, None),
        AccessOptions::Passwords { file, rules, realm } => {
            let users = htpasswd::Users::load(file)?;
            (Access::Passwords { users, rules: Rules::new(rules), realm }, None)
        }
        AccessOptions::OwnTokens { file, rules, service } => {
            let users = htpasswd::Users::load(file)?;
            let issuer = service.clone();
            let issuer =
                Issuer::new(store, users, Rules::new(rules), issuer.clone(), service.clone())?;
            let tokens = Tokens {
                realm: None,
                service,
                issuer: issuer.issuer.clone(),
                keys: vec![issuer.public()],
            };
            (Access::Tokens(tokens), Some(issuer))
        }
        AccessOptions::Tokens { realm, service, issuer, certificates, key_set } => {
            let mut keys = Vec::new();
            if let Some(pem) = certificates {
                keys.extend(keys::from_certificates(&pem)?);
            }
            if let Some(json) = key_set {
                keys.extend(keys::from_set(&json)?);
            }
            if keys.is_empty() {
                return Err(KeyError::None.into());
            }
            (Access::Tokens(Tokens { realm: Some(realm), service, issuer, keys }), None)
        }
    })
}
