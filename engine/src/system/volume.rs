//! Volumes of the driver `local`: records in the database, files with the storage worker.
//!
//! A record exists as long as the files do. What is begun with either is noted first, so that after a crash in between
//! the next start removes what is left.

use crate::event::now;
use crate::image::layers::unexpected;
use crate::store::{self, ANONYMOUS_LABEL, BEGUN, VOLUMES, VolumeRecord};
use crate::{Engine, Filters};
use api_types::volume::{CreateBody, PruneReply, Volume};
use api_types::{List, Map, time};
use messages::storage::{Reply, Request};
use metadata::Read as _;
use spec::{Class, Failure, VolumeName};
use std::collections::BTreeMap;

const DRIVER: &str = "local";

impl Engine {
    /// The volumes that match, by name.
    pub async fn volume_list(&self, filters: &Filters) -> Result<Vec<Volume>, Failure> {
        filters.only(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.flag("dangling")?;
        let wanted = |volume: &Volume| {
            let is_unused = || self.volume_users(&volume.name, |_| true).is_empty();
            filters.exact("driver", &volume.driver)
                && filters.regex("name", &volume.name)
                && filters.labels(&volume.labels)
                && dangling.is_none_or(|dangling| dangling == is_unused())
        };
        Ok(self.volumes()?.into_iter().filter(wanted).collect())
    }

    fn volumes(&self) -> Result<Vec<Volume>, Failure> {
        let records = self.0.store.read().and_then(|reader| reader.list(VOLUMES));
        let records = records.map_err(store::failed)?;
        Ok(records.into_iter().map(|(name, record)| self.show_volume(&name, record)).collect())
    }

    fn show_volume(&self, name: &VolumeName, record: VolumeRecord) -> Volume {
        let map = |entries: Option<BTreeMap<String, String>>| {
            entries.map_or_else(Map::default, Map::from)
        };
        Volume {
            created_at: time::rfc3339(record.created.div_euclid(1_000_000_000)),
            driver: DRIVER.into(),
            labels: map(record.labels),
            mountpoint: self.0.config.volume_path(name.as_str()).to_string_lossy().into_owned(),
            name: name.as_str().to_owned(),
            options: map(record.options),
            scope: "local".into(),
            usage_data: None,
        }
    }

    fn volume_record(&self, name: &VolumeName) -> Result<Option<VolumeRecord>, Failure> {
        self.0.store.read().and_then(|reader| reader.get(VOLUMES, name)).map_err(store::failed)
    }

    /// One volume.
    pub async fn volume_inspect(&self, name: &str) -> Result<Volume, Failure> {
        let missing = || Failure::not_found(format!("get {name}: no such volume"));
        let parsed = VolumeName::parse(name).map_err(|_| missing())?;
        match self.volume_record(&parsed)? {
            Some(record) => Ok(self.show_volume(&parsed, record)),
            None => Err(missing()),
        }
    }

    /// Makes a volume; one that exists is as good as made.
    pub async fn volume_create(&self, body: CreateBody) -> Result<Volume, Failure> {
        let CreateBody { name, driver, driver_opts, labels } = body;
        if !matches!(driver.as_str(), "" | DRIVER) {
            return Err(Failure::not_found(format!(
                "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
        check_options(&name, &driver_opts)?;
        let mut labels = (!labels.is_null()).then(|| labels.into_inner());
        let name = if name.is_empty() {
            labels.get_or_insert_default().insert(ANONYMOUS_LABEL.into(), String::new());
            random_name()?
        } else {
            name
        };
        long_enough(&name)?;
        let parsed = VolumeName::parse(&name)
            .map_err(|error| Failure::invalid(format!(
                "create {name}: {error}. If you intended to pass a host directory, use absolute path"
            )))?;
        let _claim = self.0.volumes.claim(vec![parsed.clone()]).await;
        if let Some(record) = store::begin_volume(&self.0.store, &parsed)? {
            return Ok(self.show_volume(&parsed, record));
        }
        let request = Request::VolumeCreate { name: parsed.clone() };
        match self.0.workers.storage.call(request, Vec::new()).await? {
            (Reply::Done, _) => {}
            (other, _) => return Err(unexpected("create volume", &other)),
        }
        let options = (!driver_opts.is_null()).then(|| driver_opts.into_inner());
        let made = VolumeRecord { created: now(), labels, options };
        let (record, is_new) = store::change(&self.0.store, |writer| {
            writer.remove(BEGUN, &parsed)?;
            Ok(match writer.get(VOLUMES, &parsed)? {
                Some(record) => (record, false),
                None => {
                    writer.put(VOLUMES, &parsed, &made)?;
                    (made, true)
                }
            })
        })?;
        if is_new {
            self.volume_event("create", &name);
        }
        Ok(self.show_volume(&parsed, record))
    }

    /// Removes a volume that no container mounts. With `force`, one that is not there is as good as removed.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<(), Failure> {
        match self.volume_inspect(name).await {
            Err(failure) if force && failure.class == Class::NotFound => return Ok(()),
            found => found?,
        };
        let parsed = VolumeName::parse(name)
            .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
        let _removal = self.0.volumes.remove(&parsed)?;
        let users = self.volume_users(name, |_| true);
        if !users.is_empty() {
            return Err(Failure::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        store::change(&self.0.store, |writer| writer.put(BEGUN, &parsed, &()))?;
        let request = Request::VolumeRemove { name: parsed.clone() };
        let removed = self.0.workers.storage.call(request, Vec::new()).await;
        store::change(&self.0.store, |writer| {
            writer.remove(BEGUN, &parsed)?;
            if removed.is_ok() {
                writer.remove(VOLUMES, &parsed)?;
            }
            Ok(())
        })?;
        removed?;
        self.volume_event("destroy", name);
        Ok(())
    }

    /// Removes volumes that no container mounts: anonymous ones, or with the filter `all` every one.
    pub async fn volume_prune(&self, filters: &Filters) -> Result<PruneReply, Failure> {
        filters.only(&["all", "label", "label!"])?;
        let all = filters.flag("all")?.unwrap_or(false);
        let mut reply = PruneReply::default();
        for volume in self.volumes()? {
            let wanted = (all || volume.labels.contains_key(ANONYMOUS_LABEL))
                && filters.labels(&volume.labels)
                && self.volume_users(&volume.name, |_| true).is_empty();
            let Ok(name) = VolumeName::parse(&volume.name) else { continue };
            if !wanted {
                continue;
            }
            let size = self.volume_size(name).await;
            match self.volume_remove(&volume.name, true).await {
                Ok(()) => {
                    reply.space_reclaimed += u64::try_from(size).unwrap_or_default();
                    reply.volumes_deleted.push(volume.name);
                }
                // A container took it meanwhile.
                Err(failure) if failure.class == Class::Conflict => {}
                Err(failure) => return Err(failure),
            }
        }
        if reply.volumes_deleted.is_empty() {
            reply.volumes_deleted = List::default();
        }
        let attributes = [("reclaimed".to_owned(), reply.space_reclaimed.to_string())].into();
        self.events().publish("volume", "prune", "", attributes);
        Ok(reply)
    }

    fn volume_event(&self, action: &str, name: &str) {
        let attributes = [("driver".to_owned(), DRIVER.to_owned())].into();
        self.events().publish("volume", action, name, attributes);
    }
}

/// The options of the driver: it knows `type`, `o`, `device` and `size`, but none of them is done yet.
fn check_options(name: &str, options: &BTreeMap<String, String>) -> Result<(), Failure> {
    let is_known = |option: &str| matches!(option, "type" | "o" | "device" | "size");
    match options.keys().find(|option| !is_known(option)).or_else(|| options.keys().next()) {
        None => Ok(()),
        Some(option) if is_known(option) => Err(Failure::new(
            Class::NotImplemented,
            format!("create {name}: volume option {option:?} is not supported"),
        )),
        Some(option) => Err(Failure::invalid(format!("create {name}: invalid option: {option:?}"))),
    }
}

/// A name of one character is taken for a mistake.
pub(crate) fn long_enough(name: &str) -> Result<(), Failure> {
    if name.len() != 1 {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "create {name}: volume name is too short, names should be at least two alphanumeric characters"
    )))
}

/// 64 random hexadecimal digits.
fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Failure::internal(format!("get random bytes: {cause}")))?;
    if filled < bytes.len() {
        return Err(Failure::internal("get random bytes: too few"));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
