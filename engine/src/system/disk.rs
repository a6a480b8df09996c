//! How much disk everything uses.

use crate::container::state::State;
use crate::image::ImageListOptions;
use crate::image::show::number;
use crate::{Engine, ListOptions, Listed};
use api_types::inspect::Summary;
use api_types::system::{BuildCacheUsage, ContainerUsage, DiskUsage, ImageUsage, VolumeUsage};
use api_types::volume::UsageData;
use messages::storage::{Reply, Request};
use spec::{Failure, VolumeName};

/// What is to be measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsageOptions {
    /// Containers.
    pub containers: bool,
    /// Images.
    pub images: bool,
    /// Volumes.
    pub volumes: bool,
    /// The build cache.
    pub build_cache: bool,
}

impl Engine {
    /// Measures what is asked for, with the single objects.
    pub async fn disk_usage(&self, wanted: DiskUsageOptions) -> Result<DiskUsage, Failure> {
        let mut usage = DiskUsage::default();
        if wanted.images {
            usage.image_usage = Some(self.image_usage().await?);
        }
        if wanted.containers {
            usage.container_usage = Some(self.container_usage().await?);
        }
        if wanted.volumes {
            usage.volume_usage = Some(self.volume_usage().await?);
        }
        if wanted.build_cache {
            usage.build_cache_usage = Some(BuildCacheUsage::default());
        }
        Ok(usage)
    }

    async fn image_usage(&self) -> Result<ImageUsage, Failure> {
        let options = ImageListOptions { shared_size: true, ..ImageListOptions::default() };
        let items = self.image_list(options).await?;
        let store = self.images().clone();
        let total = crate::image::blocking(move || store.disk_usage()).await?;
        let active = items.iter().filter(|image| image.containers > 0);
        let used: i64 = active.clone().map(|image| image.size - image.shared_size).sum();
        Ok(ImageUsage {
            active_count: active.count() as i64,
            total_count: items.len() as i64,
            total_size: number(total),
            reclaimable: (number(total) - used).max(0),
            items,
        })
    }

    async fn container_usage(&self) -> Result<ContainerUsage, Failure> {
        let options = ListOptions { all: true, size: true, ..ListOptions::default() };
        let items: Vec<Summary> = self.list(options).await?.iter().map(Listed::summary).collect();
        let is_active = |state: &str| matches!(state, "running" | "paused" | "restarting");
        let total: i64 = items.iter().map(|container| container.size_rw).sum();
        let (mut active, mut used) = (0, 0);
        for container in items.iter().filter(|container| is_active(&container.state)) {
            active += 1;
            used += container.size_rw;
        }
        Ok(ContainerUsage {
            active_count: active,
            total_count: items.len() as i64,
            total_size: total,
            reclaimable: total - used,
            items,
        })
    }

    async fn volume_usage(&self) -> Result<VolumeUsage, Failure> {
        let mut usage = VolumeUsage::default();
        for mut volume in self.volume_list(&crate::Filters::default()).await? {
            let size = match VolumeName::parse(&volume.name) {
                Ok(name) => self.volume_size(name).await,
                Err(_) => -1,
            };
            let users = self.volume_users(&volume.name, |_| true).len() as i64;
            usage.total_count += 1;
            usage.total_size += size.max(0);
            if users > 0 {
                usage.active_count += 1;
            } else {
                usage.reclaimable += size.max(0);
            }
            volume.usage_data = Some(UsageData { ref_count: users, size });
            usage.items.push(volume);
        }
        Ok(usage)
    }

    /// Bytes of a volume; -1 when they cannot be told.
    pub(crate) async fn volume_size(&self, name: VolumeName) -> i64 {
        match self.0.workers.storage.call(Request::VolumeUsage { name }, Vec::new()).await {
            Ok((Reply::Usage { bytes }, _)) => number(bytes),
            Ok(_) => -1,
            Err(failure) => {
                tracing::warn!(%failure, "measure volume");
                -1
            }
        }
    }

    /// Ids of the containers that mount a volume and whose state matches.
    pub(crate) fn volume_users(&self, name: &str, matches: impl Fn(State) -> bool) -> Vec<String> {
        let handles = self.0.containers.all().into_iter();
        handles
            .filter_map(|handle| {
                let view = handle.view();
                let mounts = view.config.mounts.iter();
                let uses =
                    mounts.filter(|mount| mount.kind.word() == "volume").any(|m| m.name == name);
                (uses && matches(view.state)).then(|| view.config.id.as_str().to_owned())
            })
            .collect()
    }
}
