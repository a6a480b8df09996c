//! Shell patterns as Go's `path.Match` reads them: `*` and `?` stop at `/`, `[...]` with ranges and `^`, `\` escapes.

/// Whether `text` matches; `None` when the pattern is malformed.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // A malformed pattern is an error even where the text would not reach its flaw.
    check(&pattern)?;
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() || p < pattern.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
            continue;
        }
        if t < text.len()
            && p < pattern.len()
            && let Some(next) = one(&pattern, p, text[t])?
        {
            (p, t) = (next, t + 1);
            continue;
        }
        match star {
            Some((at, taken)) if taken < text.len() && text[taken] != '/' => {
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
            _ => return Some(false),
        }
    }
    Some(true)
}

fn check(pattern: &[char]) -> Option<()> {
    let mut p = 0;
    while p < pattern.len() {
        p = match pattern[p] {
            '*' => p + 1,
            _ => item(pattern, p, '\0')?.1,
        };
    }
    Some(())
}

/// Where the pattern goes on when one item of it matches `c`.
fn one(pattern: &[char], p: usize, c: char) -> Option<Option<usize>> {
    let (matched, next) = item(pattern, p, c)?;
    Some(matched.then_some(next))
}

fn item(pattern: &[char], p: usize, c: char) -> Option<(bool, usize)> {
    match pattern[p] {
        '?' => Some((c != '/', p + 1)),
        '\\' => Some((*pattern.get(p + 1)? == c, p + 2)),
        '[' => class(pattern, p + 1, c),
        literal => Some((literal == c, p + 1)),
    }
}

fn class(pattern: &[char], mut p: usize, c: char) -> Option<(bool, usize)> {
    let negated = *pattern.get(p)? == '^';
    p += usize::from(negated);
    let (mut matched, mut first) = (false, true);
    loop {
        if *pattern.get(p)? == ']' && !first {
            return Some((matched != negated && c != '/', p + 1));
        }
        first = false;
        let (low, next) = class_char(pattern, p)?;
        let (high, next) = match pattern.get(next)? {
            '-' => class_char(pattern, next + 1)?,
            _ => (low, next),
        };
        matched |= low <= c && c <= high;
        p = next;
    }
}

fn class_char(pattern: &[char], p: usize) -> Option<(char, usize)> {
    match *pattern.get(p)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(p + 1)?, p + 2)),
        c => Some((c, p + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/c", "abx/c", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[^c]", "abc", Some(false)),
            ("a[^a]b", "axb", Some(true)),
            ("[\\]a]", "]", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a?b", "a/b", Some(false)),
            ("busybox:*", "busybox:latest", Some(true)),
            ("*/app:1.?", "me/app:1.2", Some(true)),
            ("[]a]", "]", None),
            ("[-x]", "x", None),
            ("[", "a", None),
            ("a[", "b", None),
            ("a\\", "a", None),
            ("", "", Some(true)),
            ("", "a", Some(false)),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_ends(pattern in "\\PC{0,12}", text in "\\PC{0,12}") {
            let _ = matches(&pattern, &text);
        }
    }
}
