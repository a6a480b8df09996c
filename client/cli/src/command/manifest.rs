//! `manifest`: lists of images for several platforms.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::failure::Failure;
use crate::format::json;
use crate::manifest::entry::{self, Entry};
use crate::manifest::remote::{self, Found, plain};
use crate::manifest::store::Store;
use crate::output;
use clap::Arg;
use distribution::{Access, Repository};
use sha2::{Digest as _, Sha256};
use spec::{Digest, Reference};

fn insecure() -> Arg {
    switch("insecure", None, "Allow communication with an insecure registry")
}

pub(crate) fn create_flags() -> Vec<Arg> {
    vec![switch("amend", 'a', "Amend an existing manifest list"), insecure()]
}

pub(crate) fn annotate_flags() -> Vec<Arg> {
    vec![
        value("arch", None, "string", "Set architecture"),
        value("os", None, "string", "Set operating system"),
        list("os-features", None, "Set operating system feature").value_name("strings"),
        value("os-version", None, "string", "Set operating system version"),
        value("variant", None, "string", "Set architecture variant"),
    ]
}

pub(crate) fn inspect_flags() -> Vec<Arg> {
    vec![insecure(), switch("verbose", 'v', "Output additional info including layers and platform")]
}

pub(crate) fn push_flags() -> Vec<Arg> {
    vec![insecure(), switch("purge", 'p', "Remove the local manifest list after push")]
}

/// The name of a list, as it is written and completed.
fn list_name(text: &str) -> Result<Reference, Failure> {
    remote::name(text).map_err(|error| {
        Failure::Plain(format!("error parsing name for manifest list {text}: {error}"))
    })
}

pub(crate) async fn create(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let list = list_name(&args[0])?.to_string();
    let store = Store::new(&session.config);
    if store.list(&list)?.is_some() && !flags.on("amend") {
        let text = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Failure::Plain(text.into()));
    }
    for image in &args[1..] {
        let name = remote::name(image)?.to_string();
        let entry = match remote::find(&session, image, flags.on("insecure")).await? {
            Found::Image(entry) => *entry,
            Found::List(_) => return Err(Failure::Plain(format!("{image} is a manifest list"))),
        };
        store.put(&list, &name, &entry)?;
    }
    Ok(output::line(format!("Created manifest list {list}"))?)
}

pub(crate) async fn annotate(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let list = list_name(&args[0])?.to_string();
    let image = remote::name(&args[1])?.to_string();
    let store = Store::new(&session.config);
    let Some(mut entry) = store.entry(&list, &image)? else {
        return Err(Failure::Plain(format!(
            "manifest for image {} does not exist in {}",
            args[1], args[0]
        )));
    };
    let mut platform = entry.descriptor.platform.take().unwrap_or_default();
    for (flag, field) in [
        ("os", &mut platform.os),
        ("arch", &mut platform.architecture),
        ("variant", &mut platform.variant),
        ("os-version", &mut platform.os_version),
    ] {
        if let Some(text) = flags.text_of(flag) {
            text.clone_into(field);
        }
    }
    let features = flags.all("os-features");
    platform
        .os_features
        .extend(features.iter().flat_map(|text| text.split(',')).map(str::to_owned));
    if !platform.is_known() {
        return Err(Failure::Plain(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            platform.os, platform.architecture
        )));
    }
    entry.descriptor.platform = Some(platform);
    store.put(&list, &image, &entry)
}

pub(crate) async fn inspect(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let (verbose, insecure) = (flags.on("verbose"), flags.on("insecure"));
    let store = Store::new(&session.config);
    if let [list, image] = args.as_slice() {
        let name = remote::name(image)?.to_string();
        let entry = store.entry(&list_name(list)?.to_string(), &name)?;
        let entry = entry.ok_or_else(|| Failure::Plain(format!("No such manifest: {image}")))?;
        return show_image(&entry, verbose);
    }
    match store.list(&remote::name(&args[0])?.to_string())? {
        Some(entries) => show_list(&entries, verbose),
        None => match remote::find(&session, &args[0], insecure).await? {
            Found::Image(entry) => show_image(&entry, verbose),
            Found::List(text) if !verbose => Ok(output::line(json::pretty(&text, "   "))?),
            Found::List(text) => {
                show_list(&members(&session, &args[0], &text, insecure).await?, true)
            }
        },
    }
}

/// The images that a list in a registry names.
async fn members(
    session: &crate::session::Session,
    list: &str,
    text: &str,
    insecure: bool,
) -> Result<Vec<Entry>, Failure> {
    #[derive(serde::Deserialize)]
    struct List {
        manifests: Vec<entry::Descriptor>,
    }
    let List { manifests } = serde_json::from_str(text)?;
    let name = remote::name(list)?;
    let mut entries = Vec::new();
    for descriptor in manifests {
        let digest =
            Digest::parse(&descriptor.digest).map_err(|error| Failure::Plain(error.to_string()))?;
        let member = name.with_digest(&digest).familiar();
        match remote::find(session, &member, insecure).await? {
            Found::Image(found) => entries.push(Entry { descriptor, ..*found }),
            Found::List(_) => {
                return Err(Failure::Plain(format!(
                    "{member} is a manifest list in a manifest list"
                )));
            }
        }
    }
    Ok(entries)
}

fn show_image(entry: &Entry, verbose: bool) -> Result<(), Failure> {
    let text = if verbose { entry.text()? } else { entry.manifest.clone() };
    Ok(output::line(json::pretty(&text, "\t"))?)
}

fn show_list(entries: &[Entry], verbose: bool) -> Result<(), Failure> {
    if !verbose {
        return Ok(output::line(entry::list(entries)?.1)?);
    }
    let all = entries.iter().map(Entry::text).collect::<Result<Vec<_>, _>>()?;
    Ok(output::line(json::pretty(&format!("[{}]", all.join(",")), "\t"))?)
}

pub(crate) async fn push(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let target = list_name(&args[0])?;
    let store = Store::new(&session.config);
    let entries = store.list(&target.to_string())?;
    let entries =
        entries.ok_or_else(|| Failure::Plain(format!("No such manifest: {}", args[0])))?;
    if entries.is_empty() {
        return Err(Failure::Plain(format!("{} is empty", args[0])));
    }
    let sources = entries.iter().map(|entry| remote::name(&entry.name));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    if let Some(other) = sources.iter().find(|source| source.domain() != target.domain()) {
        return Err(Failure::Plain(format!(
            "cannot use source images from a different registry than the target image: {} != {}",
            other.domain(),
            target.domain()
        )));
    }
    let repository = remote::open(&session, &target, Access::Push, flags.on("insecure")).await?;
    for (entry, source) in entries.iter().zip(&sources) {
        push_image(&repository, entry, source).await?;
        let digest = &entry.descriptor.digest;
        output::line(format!("Pushed ref {}@{digest} with digest: {digest}", target.name()))?;
    }
    let (media_type, text) = entry::list(&entries)?;
    let tag = target.tag().unwrap_or(spec::reference::DEFAULT_TAG);
    let put = repository.put_manifest(tag, media_type, text.clone().into_bytes()).await;
    put.map_err(|error| plain(&error))?;
    output::line(Digest::from_sha256(&Sha256::digest(text.as_bytes()).into()).to_string())?;
    if flags.on("purge") {
        store.remove(&target.to_string())?;
    }
    Ok(())
}

/// Puts an image of the same registry into the list's repository: its blobs are mounted, its manifest written as it is.
async fn push_image(
    repository: &Repository,
    entry: &Entry,
    source: &Reference,
) -> Result<(), Failure> {
    if source.path() != repository.name().path() {
        repository.add_source(source.path());
        for blob in entry.blobs()? {
            let digest = Digest::parse(&blob).map_err(|error| Failure::Plain(error.to_string()))?;
            let mounted = repository.mount(&digest, source.path()).await;
            if !mounted.map_err(|error| plain(&error))? {
                return Err(Failure::Plain(format!(
                    "the registry did not mount {digest} from {}",
                    source.name()
                )));
            }
        }
    }
    let Entry { descriptor, manifest, .. } = entry;
    let put = repository
        .put_manifest(&descriptor.digest, &descriptor.media_type, manifest.clone().into_bytes())
        .await;
    put.map_err(|error| plain(&error))
}

pub(crate) async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    let store = Store::new(&session.config);
    let mut errors = Vec::new();
    for list in &args {
        if !store.remove(&list_name(list)?.to_string())? {
            errors.push(format!("No such manifest: {list}"));
        }
    }
    Failure::unless_empty(errors)
}
