//! `push`.

use crate::arg::{switch, value};
use crate::command::{Invocation, pull};
use crate::credentials;
use crate::failure::Failure;
use crate::output;
use crate::parse::platform;
use crate::parse::reference::Reference;
use clap::Arg;
use client_http::{Query, Request};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("all-tags", 'a', "Push all tags of an image to the repository"),
        switch("disable-content-trust", None, "Skip image signing (default true)"),
        value(
            "platform",
            None,
            "string",
            "Push only this platform of an image (os[/arch[/variant]])",
        ),
        switch("quiet", 'q', "Suppress verbose output"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let (all, quiet) = (flags.on("all-tags"), flags.on("quiet"));
    let platform = flags.text_of("platform").map(platform::json).transpose()?;
    let reference = Reference::parse(&args[0])?;
    if all && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Failure::Plain("tag can't be used with --all-tags/-a".into()));
    }
    if reference.digest.is_some() {
        return Err(Failure::Plain("cannot push a digest reference".into()));
    }
    if !all && reference.tag.is_none() && !quiet {
        output::line("Using default tag: latest")?;
    }
    let tag = if all { String::new() } else { reference.tag_or_digest() };
    let query =
        Query::new().with_some("tag", tag).with_some("platform", platform.unwrap_or_default());
    let path = format!("/images/{}/push", reference.full());
    let auth = credentials::header(&session.config, &reference.registry);
    let request = Request::post(path).query(query).header("X-Registry-Auth", auth);
    let client = session.client().await?;
    pull::show(client.send(request).await?, quiet, false).await?;
    if quiet {
        output::line(format!("{}/{}", reference.registry, pull::full_name(&reference)))?;
    }
    Ok(())
}
