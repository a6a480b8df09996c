//! Creating a container: everything is judged before anything is done, what is done is an intent first, and one commit
//! makes the container exist.

use super::actor::{self, Actor, Seed};
use super::config::{ContainerConfig, ImagePin, Mode, Mount, MountKind};
use super::directory::Directory;
use super::live::Outcome;
use super::mounts::{self, Mounts, WantedVolume};
use super::remove::finish_removal;
use super::state::State;
use super::undo::undo_later;
use super::{merge, mount_options, name, validate};
use crate::network::links;
use crate::open::{Engine, Shared};
use crate::spec::paths;
use crate::store::{self, ANONYMOUS_LABEL, Intent, VolumeRecord};
use crate::{event, ids, system};
use api_types::container::{Config, CreateBody, CreateReply};
use serde::Deserialize;
use spec::{Class, ContainerId, Failure, Platform, SnapshotKey, VolumeName};
use std::sync::Arc;

/// How many fresh names are tried.
const NAME_ATTEMPTS: u32 = 50;

/// The part of an image's configuration that containers start from.
#[derive(Debug, Default, Deserialize)]
struct ImageDocument {
    #[serde(default)]
    config: Option<Config>,
}

impl Engine {
    /// Creates a container. An image that does not exist is [`Class::NotFound`], upon which clients pull it and try
    /// again. When this returns, the container survives the death of any process.
    pub async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        mut body: CreateBody,
    ) -> Result<CreateReply, Failure> {
        let shared = &self.0;
        let mut warnings = validate::validate(&mut body, &shared.config, &shared.facts)?;
        let image = shared.images.resolve(&body.config.image)?;
        let keep = shared.images.keep(&image).await?;
        check_platform(platform.as_deref(), &image.platform, &mut warnings)?;
        let document: ImageDocument =
            serde_json::from_slice(&shared.images.config_bytes(&image.id)?).map_err(|error| {
                Failure::internal(format!("read the configuration of image {}: {error}", image.id))
            })?;
        merge::merge(&mut body.config, &document.config.unwrap_or_default())?;
        shared_modes(shared, &mut body);
        crate::network::connect::resolve(&shared.networks, &mut body)?;
        links::check(&body.host_config.links, |name| shared.containers.find(name).map(|_| ()))?;
        let pin = ImagePin {
            id: image.id.to_string(),
            layers: image.layers.iter().map(|layer| layer.chain.clone()).collect(),
            platform: image.platform.clone(),
        };
        let id = ContainerId::from_bytes(&ids::random()?);
        let mounts = self.resolve_mounts(&body).await?;
        let name = self.take_name(name.as_deref(), &id)?;
        // No await between taking the name and here: whoever has a name also gives it back.
        self.make(config(shared, &id, &name, body, pin, &mounts), mounts, keep).await?;
        Ok(CreateReply { id: id.to_string(), warnings })
    }

    /// The mounts that the body asks for; bind sources of `--mount` must exist.
    async fn resolve_mounts(&self, body: &CreateBody) -> Result<Mounts, Failure> {
        let shared = &self.0;
        let mut fresh = Vec::new();
        let most = body.config.volumes.len()
            + body.host_config.binds.len()
            + body.host_config.mounts.len();
        for _ in 0..most {
            fresh.push(ids::fresh()?);
        }
        let mounts_of = |name: &str| {
            let view = shared
                .containers
                .find(name)
                .map_err(|failure| Failure::invalid(failure.message))?
                .view();
            Ok(view.config.mounts.clone())
        };
        let mounts = mounts::resolve(&body.config, &body.host_config, mounts_of, || {
            fresh.pop().unwrap_or_default()
        })?;
        for source in &mounts.sources_to_check {
            shared.workers.open_host_path(source, false, true).await.map_err(|failure| {
                match failure.class {
                    Class::NotFound => mount_options::mount_failure(
                        "bind",
                        &format!("bind source path does not exist: {source}"),
                    ),
                    Class::InvalidArgument => {
                        mount_options::mount_failure("bind", &failure.message)
                    }
                    _ => failure,
                }
            })?;
        }
        Ok(mounts)
    }

    fn take_name(&self, asked: Option<&str>, id: &ContainerId) -> Result<String, Failure> {
        let containers = &self.0.containers;
        if let Some(asked) = asked.filter(|name| !name.is_empty()) {
            let name = name::validate(asked)?;
            containers.reserve(&name, id)?;
            return Ok(name);
        }
        for attempt in 0..NAME_ATTEMPTS {
            let random = ids::random()?;
            let bits = random.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            let name = name::fresh(bits, attempt);
            if containers.reserve(&name, id).is_ok() {
                return Ok(name);
            }
        }
        let name = id.short().to_owned();
        containers.reserve(&name, id)?;
        Ok(name)
    }

    /// Does what the configuration says, and undoes it when a step fails.
    async fn make(
        &self,
        config: ContainerConfig,
        mounts: Mounts,
        keep: images::Lease,
    ) -> Result<(), Failure> {
        // Not cut short by a client that goes away: half a container would stay until the next start.
        let shared = Arc::clone(&self.0);
        let work = async move {
            let (id, name) = (config.id.clone(), config.name.clone());
            // Until the container is in the registry nobody else knows that it uses them.
            let used = config.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
            let used = used.filter_map(|mount| VolumeName::parse(&mount.name).ok()).collect();
            let _claim = shared.volumes.claim(used).await;
            let made = make_or_undo(&shared, config, &mounts.volumes).await;
            if made.is_err() {
                shared.containers.release(&name, &id);
            }
            drop(keep);
            made
        };
        match tokio::spawn(work).await {
            Ok(made) => made,
            Err(_) => Err(Failure::internal("create container: the engine is ending")),
        }
    }
}

async fn make_or_undo(
    shared: &Arc<Shared>,
    config: ContainerConfig,
    volumes: &[WantedVolume],
) -> Result<(), Failure> {
    let anonymous = config.mounts.iter().filter(|mount| mount.anonymous);
    let anonymous = anonymous.filter_map(|mount| VolumeName::parse(&mount.name).ok()).collect();
    let intent = Intent::Create { volumes: anonymous };
    store::change(&shared.store, |writer| writer.put(store::INTENTS, &config.id, &intent))?;
    let id = config.id.clone();
    let made = make_all(shared, config, volumes).await;
    if made.is_err()
        && let Err(undo) = finish_removal(shared, &id, intent.clone(), true).await
    {
        tracing::warn!(container = id.as_str(), "undo a create that failed: {undo}");
        undo_later(shared, id, intent);
    }
    made
}

async fn make_all(
    shared: &Arc<Shared>,
    config: ContainerConfig,
    volumes: &[WantedVolume],
) -> Result<(), Failure> {
    let key = SnapshotKey::from(&config.id);
    let snapshot = shared.workers.prepare(key, config.image.layers.clone());
    let volumes = async {
        for wanted in volumes {
            ensure_volume(shared, wanted).await?;
        }
        Ok(())
    };
    tokio::try_join!(snapshot, volumes)?;
    Directory::of(&shared.config, &config.id).create()?;
    store::change(&shared.store, |writer| {
        writer.put(store::CONTAINERS, &config.id, &config)?;
        writer.remove(store::INTENTS, &config.id).map(|_| ())
    })?;
    actor::tell(shared, &config, "create", &[]);
    let seed = Seed { config, outcome: Outcome::default(), state: State::Created, pristine: true };
    let (actor, commands) = Actor::new(Arc::clone(shared), seed);
    tokio::spawn(actor.run(commands));
    Ok(())
}

/// Makes sure that a volume exists; one that exists stays as it is.
pub(crate) async fn ensure_volume(shared: &Shared, wanted: &WantedVolume) -> Result<(), Failure> {
    system::volume::long_enough(&wanted.name)?;
    let name = VolumeName::parse(&wanted.name).map_err(|error| {
        Failure::invalid(format!(
            "create {}: {error}. If you intended to pass a host directory, use absolute path",
            wanted.name
        ))
    })?;
    if !matches!(wanted.driver.as_str(), "" | "local") {
        return Err(Failure::not_found(format!(
            "error looking up volume plugin {}: plugin {:?} not found",
            wanted.driver, wanted.driver
        )));
    }
    if let Some(option) = wanted.options.keys().next() {
        return Err(Failure::invalid(format!("create {name}: invalid option: {option:?}")));
    }
    if store::begin_volume(&shared.store, &name)?.is_some() {
        return Ok(());
    }
    shared.workers.create_volume(name.clone()).await?;
    let mut labels = wanted.labels.clone();
    if wanted.anonymous {
        labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
    }
    let labels = Some(labels).filter(|labels| !labels.is_empty());
    let record = VolumeRecord { created: event::now(), labels, options: None };
    store::change(&shared.store, |writer| {
        writer.put(store::VOLUMES, &name, &record)?;
        writer.remove(store::BEGUN, &name).map(|_| ())
    })?;
    let driver = [("driver".to_owned(), "local".to_owned())];
    shared.events.publish("volume", "create", name.as_str(), driver.into());
    Ok(())
}

/// The record of the container.
fn config(
    shared: &Shared,
    id: &ContainerId,
    name: &str,
    body: CreateBody,
    image: ImagePin,
    mounts: &Mounts,
) -> ContainerConfig {
    let (mut config, mut host) = (body.config, body.host_config);
    if config.hostname.is_empty() {
        let of_host =
            Mode::of(&host.network_mode) == Mode::Host || Mode::of(&host.uts_mode) == Mode::Host;
        let of_other = matches!(Mode::of(&host.network_mode), Mode::Container(_));
        config.hostname = match (of_host, of_other) {
            (true, _) => shared.facts.hostname.clone(),
            (_, true) => String::new(),
            _ => id.short().to_owned(),
        };
    }
    if !host.privileged {
        if host.masked_paths.is_null() {
            host.masked_paths = paths::masked(shared.facts.cpus).into();
        }
        if host.readonly_paths.is_null() {
            host.readonly_paths = paths::readonly().into();
        }
    }
    let (path, args) = merge::command(&config);
    let endpoints = body.networking_config.endpoints_config;
    ContainerConfig {
        id: id.clone(),
        name: name.to_owned(),
        created: event::now(),
        image,
        path,
        args,
        config,
        host,
        endpoints: endpoints
            .into_iter()
            .filter_map(|(name, settings)| Some((name, settings?)))
            .collect(),
        mounts: mounts.by_destination.values().cloned().collect::<Vec<Mount>>(),
    }
}

/// Replaces names by ids in `container:` modes, so that a rename changes nothing. One that does not exist is left to the
/// start: told of something that is not found, clients pull the image.
fn shared_modes(shared: &Shared, body: &mut CreateBody) {
    let host = &mut body.host_config;
    for mode in [&mut host.pid_mode, &mut host.ipc_mode, &mut host.network_mode] {
        let Some(other) = mode.strip_prefix("container:") else { continue };
        if let Ok(handle) = shared.containers.find(other) {
            *mode = format!("container:{}", handle.id);
        }
    }
}

/// A platform that was asked for must be the image's; otherwise another one than the host's is only a warning.
fn check_platform(
    asked: Option<&str>,
    image: &Platform,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let host = Platform::host();
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        if image.os != host.os || image.architecture != host.architecture {
            warnings.push(format!(
                "The requested image's platform ({image}) does not match the detected host platform ({host}) and no specific platform was requested"
            ));
        }
        return Ok(());
    };
    let mut parts = asked.split('/');
    let (os, architecture) = (parts.next().unwrap_or_default(), parts.next());
    let same_os = os.eq_ignore_ascii_case(&image.os);
    if same_os && architecture.is_none_or(|wanted| normal(wanted) == image.architecture) {
        return Ok(());
    }
    Err(Failure::not_found(format!(
        "image with reference was found but does not provide the specified platform ({asked})"
    )))
}

/// Go's word for an architecture that people write otherwise.
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    }
}
