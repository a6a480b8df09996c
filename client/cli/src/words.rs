//! The words of a command line as Go's `pflag` divides them into flags, values and arguments.
//!
//! Clap divides them in another way where it matters: `-p80:80`, `-i=false`, and flags behind the image's name, which
//! are the program's in the container. So clap gets words that nobody can read in two ways.

use crate::command::Spec;
use crate::failure::Failure;
use crate::program::unknown_flag;
use clap::Arg;

/// The same words with every flag in its long form and all arguments behind `--`.
pub(crate) fn sorted(spec: &Spec, words: &[String]) -> Result<Vec<String>, Failure> {
    let mut flags = (spec.flags)();
    flags.push(crate::arg::switch("help", None, ""));
    let (mut out, mut arguments) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            arguments.extend(words.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            out.extend(long_flag(&flags, word, long, &mut words)?);
        } else if word.len() > 1 && word.starts_with('-') {
            out.extend(short_flags(&flags, word, &mut words)?);
        } else {
            arguments.push(word.clone());
            if spec.trailing {
                arguments.extend(words.by_ref().cloned());
            }
        }
    }
    out.push("--".to_owned());
    out.extend(arguments);
    Ok(out)
}

fn is_switch(flag: &Arg) -> bool {
    flag.is_require_equals_set()
}

fn long_flag<'a>(
    flags: &[Arg],
    word: &str,
    long: &str,
    words: &mut impl Iterator<Item = &'a String>,
) -> Result<Vec<String>, Failure> {
    let name = long.split('=').next().unwrap_or_default();
    let named = |flag: &&Arg| {
        flag.get_id().as_str() == name
            || flag.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    };
    let flag = flags.iter().find(named).ok_or_else(|| unknown_flag(word))?;
    if is_switch(flag) || long.contains('=') {
        return Ok(vec![word.to_owned()]);
    }
    let value =
        words.next().ok_or_else(|| Failure::Syntax(format!("flag needs an argument: {word}")))?;
    Ok(vec![format!("{word}={value}")])
}

fn short_flags<'a>(
    flags: &[Arg],
    word: &str,
    words: &mut impl Iterator<Item = &'a String>,
) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    let mut rest = &word[1..];
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let flag = flags.iter().find(|flag| flag.get_short() == Some(letter));
        let name = flag.map(|flag| flag.get_id().as_str().to_owned());
        let (Some(flag), Some(name)) = (flag, name) else {
            return Err(Failure::Syntax(format!("unknown shorthand flag: '{letter}' in {word}")));
        };
        let attached = rest.strip_prefix('=');
        match (is_switch(flag), attached) {
            (true, None) => out.push(format!("--{name}")),
            (_, Some(value)) => {
                out.push(format!("--{name}={value}"));
                break;
            }
            (false, None) if !rest.is_empty() => {
                out.push(format!("--{name}={rest}"));
                break;
            }
            (false, None) => {
                let missing =
                    || Failure::Syntax(format!("flag needs an argument: '{letter}' in {word}"));
                out.push(format!("--{name}={}", words.next().ok_or_else(missing)?));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    fn run(words: &[&str]) -> Result<String, String> {
        let spec = TABLE.iter().find(|spec| spec.top == "run").unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        sorted(spec, &words).map(|words| words.join(" ")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn values_may_be_attached_and_letters_joined() {
        assert_eq!(
            run(&["-itp80:80", "-e", "-x", "i"]).unwrap(),
            "--interactive --tty --publish=80:80 --env=-x -- i"
        );
        assert_eq!(
            run(&["-i=false", "-m=1g", "--rm", "i"]).unwrap(),
            "--interactive=false --memory=1g --rm -- i"
        );
    }

    #[test]
    fn what_stands_behind_the_image_is_the_program_s() {
        assert_eq!(run(&["--rm", "i", "--rm", "-c", "--"]).unwrap(), "--rm -- i --rm -c --");
    }

    #[test]
    fn mistakes_are_named_in_docker_s_words() {
        assert_eq!(run(&["--nosuch"]).unwrap_err(), "unknown flag: --nosuch");
        assert_eq!(run(&["-iZ"]).unwrap_err(), "unknown shorthand flag: 'Z' in -iZ");
        assert_eq!(run(&["-e"]).unwrap_err(), "flag needs an argument: 'e' in -e");
        assert_eq!(run(&["--name"]).unwrap_err(), "flag needs an argument: --name");
    }
}
