//! Which manifest of an index is for a platform.

use spec::Platform;
use spec::image::{Descriptor, Index, PlatformDescriptor};

/// The manifest of an index that fits best; `None` when none does.
pub(crate) fn choose<'a>(index: &'a Index, wanted: &Platform) -> Option<&'a Descriptor> {
    let fitting = index.manifests.iter().filter_map(|manifest| {
        let rank = match &manifest.platform {
            Some(platform) => rank(platform, wanted)?,
            // An index of one kind only needs not say which.
            None => u32::MAX,
        };
        Some((rank, manifest))
    });
    // The first of those that fit alike, as all engines take it.
    fitting.min_by_key(|(rank, _)| *rank).map(|(_, manifest)| manifest)
}

/// How well a platform fits, 0 being exactly; `None` when it does not.
fn rank(have: &PlatformDescriptor, wanted: &Platform) -> Option<u32> {
    if have.os != wanted.os || go_name(&have.architecture) != go_name(&wanted.architecture) {
        return None;
    }
    let have = have.variant.as_deref().filter(|variant| !variant.is_empty());
    let wanted_variant = wanted.variant.as_deref().filter(|variant| !variant.is_empty());
    match go_name(&wanted.architecture) {
        // 64-bit ARM has one base; newer ones run what was made for it.
        "arm64" => {
            let level = |variant: Option<&str>| variant.map_or(80, |v| number(v, 80));
            level(wanted_variant).checked_sub(level(have))
        }
        "arm" => {
            let level =
                |variant: Option<&str>, default| variant.map_or(default, |v| number(v, default));
            // Without a variant the newest is wanted that such hosts have.
            level(wanted_variant, 70).checked_sub(level(have, 70))
        }
        // Levels of x86-64: without one, the base is wanted, since not every host has more.
        "amd64" => {
            let level = |variant: Option<&str>| variant.map_or(10, |v| number(v, 10));
            level(wanted_variant).checked_sub(level(have))
        }
        _ => match (wanted_variant, have) {
            (None, None) => Some(0),
            (Some(wanted), Some(have)) => (wanted == have).then_some(0),
            _ => Some(1),
        },
    }
}

/// `v7` as 70, `v8.1` as 81.
fn number(variant: &str, default: u32) -> u32 {
    let text = variant.trim_start_matches('v');
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major @ 0..=99), Ok(minor @ 0..=9)) => major * 10 + minor,
        _ => default,
    }
}

fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        other => other,
    }
}

/// Whether an image of the one platform is what was asked for with the other.
pub(crate) fn fits(have: &Platform, wanted: &Platform) -> bool {
    rank(&PlatformDescriptor::from(have), wanted).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::Digest;

    fn platform(text: &str) -> Platform {
        let parts: Vec<&str> = text.split('/').collect();
        Platform {
            os: parts[0].into(),
            architecture: parts[1].into(),
            variant: parts.get(2).map(|variant| (*variant).into()),
        }
    }

    fn index(platforms: &[&str]) -> Index {
        let manifest = |(number, text): (usize, &&str)| {
            let digest = Digest::from_sha256(&[number as u8; 32]);
            let mut descriptor = Descriptor::new("m", digest, 1);
            descriptor.platform = Some(PlatformDescriptor::from(&platform(text)));
            descriptor
        };
        Index::new(platforms.iter().enumerate().map(manifest).collect())
    }

    #[test]
    fn the_nearest_variant_that_runs_is_chosen() {
        let chosen = |index: &Index, wanted: &str| {
            let found = choose(index, &platform(wanted))?;
            found.platform.as_ref().map(|p| {
                let variant = p.variant.as_deref().unwrap_or("-");
                format!("{}/{variant}", p.architecture)
            })
        };
        let all = index(&[
            "unknown/unknown",
            "linux/arm/v6",
            "linux/arm/v5",
            "linux/amd64/v3",
            "linux/amd64",
            "linux/arm64/v8",
            "windows/amd64",
        ]);
        assert_eq!(chosen(&all, "linux/amd64").unwrap(), "amd64/-");
        assert_eq!(chosen(&all, "linux/amd64/v3").unwrap(), "amd64/v3");
        assert_eq!(chosen(&all, "linux/amd64/v2").unwrap(), "amd64/-");
        assert_eq!(chosen(&all, "linux/arm64").unwrap(), "arm64/v8");
        assert_eq!(chosen(&all, "linux/arm/v7").unwrap(), "arm/v6");
        assert_eq!(chosen(&all, "linux/arm/v5").unwrap(), "arm/v5");
        assert_eq!(chosen(&all, "linux/s390x"), None);
        assert_eq!(chosen(&index(&["linux/arm/v7"]), "linux/arm/v6"), None);
    }
}
