//! `pull`, and showing its progress.

use crate::arg::{switch, value};
use crate::command::Invocation;
use crate::credentials;
use crate::failure::Failure;
use crate::output;
use crate::parse::reference::Reference;
use crate::session::Session;
use clap::Arg;
use client_http::{Client, Query, Request, Response};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("all-tags", 'a', "Download all tagged images in the repository"),
        switch("disable-content-trust", None, "Skip image verification (default true)"),
        value("platform", None, "string", "Set platform if server is multi-platform capable"),
        switch("quiet", 'q', "Suppress verbose output"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let all = flags.on("all-tags");
    let reference = Reference::parse(&args[0])?;
    if all && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Failure::Plain("tag can't be used with --all-tags/-a".into()));
    }
    let quiet = flags.on("quiet");
    if !all && reference.tag.is_none() && reference.digest.is_none() && !quiet {
        output::line("Using default tag: latest")?;
    }
    let client = session.client().await?;
    let platform = flags.text("platform");
    let pulling =
        Pulling { session: &session, client: &client, platform: &platform, quiet, to_error: false };
    pulling.tagged(&reference, if all { None } else { Some(reference.tag_or_digest()) }).await?;
    if all {
        Ok(())
    } else {
        Ok(output::line(format!("{}/{}", reference.registry, full_name(&reference)))?)
    }
}

/// The path with tag and digest, as it is printed after the registry.
pub(crate) fn full_name(reference: &Reference) -> String {
    let digest = reference.digest.as_ref().map_or_else(String::new, |digest| format!("@{digest}"));
    let tag = match (&reference.tag, &reference.digest) {
        (Some(tag), _) => format!(":{tag}"),
        (None, None) => ":latest".into(),
        (None, Some(_)) => String::new(),
    };
    format!("{}{tag}{digest}", reference.path)
}

/// A pull and how it is shown.
#[derive(Debug)]
pub(crate) struct Pulling<'a> {
    pub(crate) session: &'a Session,
    pub(crate) client: &'a Client,
    pub(crate) platform: &'a str,
    pub(crate) quiet: bool,
    /// Progress goes to standard error.
    pub(crate) to_error: bool,
}

impl Pulling<'_> {
    /// Pulls one image.
    pub(crate) async fn image(&self, reference: &Reference) -> Result<(), Failure> {
        self.tagged(reference, Some(reference.tag_or_digest())).await
    }

    async fn tagged(&self, reference: &Reference, tag: Option<String>) -> Result<(), Failure> {
        let query = Query::new()
            .with("fromImage", reference.full())
            .with_some("tag", tag.unwrap_or_default())
            .with_some("platform", self.platform);
        let auth = credentials::header(&self.session.config, &reference.registry);
        let request = Request::post("/images/create").query(query).header("X-Registry-Auth", auth);
        let response = self.client.send(request).await?;
        show(response, self.quiet, self.to_error).await
    }
}

/// Shows a stream of progress: bars on a terminal, lines elsewhere. An error in the stream is the command's.
pub(crate) async fn show(response: Response, quiet: bool, to_error: bool) -> Result<(), Failure> {
    let mut objects = response.objects();
    let terminal =
        if to_error { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let mut bars = (terminal && !quiet).then(crate::stream::bars::Bars::new);
    while let Some(progress) = objects.next::<Value>().await? {
        let error = &progress["errorDetail"];
        if error.is_object() {
            let message = error["message"].as_str().unwrap_or_default().trim().to_owned();
            return Err(match error["code"].as_i64() {
                Some(401) => Failure::Plain("authentication is required".into()),
                _ => Failure::Plain(message),
            });
        }
        if quiet || progress.get("aux").is_some() {
            continue;
        }
        match &mut bars {
            Some(bars) => bars.show(&progress),
            None => plain(&progress, to_error)?,
        }
    }
    Ok(())
}

/// A line of progress where there is no terminal: the counting ones are left out.
fn plain(progress: &Value, to_error: bool) -> Result<(), Failure> {
    let detail = &progress["progressDetail"];
    if detail["current"].as_i64().unwrap_or(0) > 0 || detail["total"].as_i64().unwrap_or(0) > 0 {
        return Ok(());
    }
    let text =
        match (progress["stream"].as_str(), progress["id"].as_str(), progress["status"].as_str()) {
            (Some(stream), ..) if !stream.is_empty() => stream.to_owned(),
            (_, Some(id), Some(status)) if !id.is_empty() => format!("{id}: {status}\n"),
            (.., Some(status)) => format!("{status}\n"),
            _ => return Ok(()),
        };
    if to_error {
        std::io::stderr().write_all(text.as_bytes())?;
        return Ok(());
    }
    Ok(output::bytes(text.as_bytes())?)
}
