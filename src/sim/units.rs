//! How spans of time and rates are written in files: `"250 us"`, `"1.5 s"`, `"3 %"`.
//!
//! Both are whole numbers inside, microseconds and millionths; whatever is written is exact.

use std::time::Duration;

/// Units of time in microseconds, the largest first.
const SPANS: [(&str, u64); 4] = [
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];
/// Millionths in a percent.
const PERCENT: u64 = 10_000;

/// A span of microseconds as text, in the largest unit up to seconds that it is one of.
pub fn show_span(us: u64) -> String {
    let fits = SPANS[1..].iter().find(|(_, size)| us >= *size);
    let (unit, size) = fits.unwrap_or(&SPANS[1]);
    format!("{} {unit}", show_decimal(us, *size))
}

/// The microseconds that a text stands for.
///
/// # Errors
///
/// Text that is no span, told with an example of one.
pub fn parse_span(text: &str) -> Result<u64, String> {
    let example = "write a span of time as \"250 us\", \"20 ms\", \"1.5 s\" or \"2 min\"";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].trim();
    let size = SPANS.iter().find(|(name, _)| *name == unit);
    let size = size.ok_or_else(|| format!("`{text}` has no unit of time: {example}"))?;
    parse_decimal(digits.trim(), size.1)
        .ok_or_else(|| format!("`{text}` is not a whole number of microseconds: {example}"))
}

/// Millionths as text.
pub fn show_rate(ppm: u64) -> String {
    format!("{} %", show_decimal(ppm, PERCENT))
}

/// The millionths that a text stands for.
///
/// # Errors
///
/// Text that is no rate, told with an example of one.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('%').map(str::trim);
    let ppm = digits.and_then(|digits| parse_decimal(digits, PERCENT));
    ppm.ok_or_else(|| {
        format!("`{text}` is not a rate: write \"3 %\" or \"0.05 %\", with four decimals at most")
    })
}

/// A number that differs in its first digit only from 0.
pub fn round(value: u64) -> u64 {
    let scale = 10_u64.pow(value.checked_ilog10().unwrap_or(0));
    value / scale * scale
}

/// `value / one` with as many decimals as it needs.
fn show_decimal(value: u64, one: u64) -> String {
    let (whole, rest) = (value / one, value % one);
    if rest == 0 {
        return whole.to_string();
    }
    let places = one.ilog10() as usize;
    let decimals = format!("{rest:0places$}");
    format!("{whole}.{}", decimals.trim_end_matches('0'))
}

/// A decimal number times `one`, if that is a whole number.
fn parse_decimal(text: &str, one: u64) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let tenths = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let part = decimals.parse::<u64>().ok()?.checked_mul(one)?;
    let rest = part.is_multiple_of(tenths).then_some(part / tenths)?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(one)?
        .checked_add(rest)
}

/// For serde: a [`Duration`] as text.
pub mod span {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use super::{Duration, parse_span, show_span};

    /// Writes it.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_span(span.as_micros() as u64))
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        let us = parse_span(&String::deserialize(from)?).map_err(D::Error::custom)?;
        Ok(Duration::from_micros(us))
    }
}

/// For serde: millionths as text.
pub mod rate {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use super::{parse_rate, show_rate};

    /// Writes it.
    pub fn serialize<S: Serializer>(ppm: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_rate(u64::from(*ppm)))
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<u32, D::Error> {
        let ppm = parse_rate(&String::deserialize(from)?).map_err(D::Error::custom)?;
        u32::try_from(ppm).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_shortly_and_read_back() {
        for (us, text) in [
            (0, "0 s"),
            (250, "250 us"),
            (1_500, "1.5 ms"),
            (20_000, "20 ms"),
            (2_250_000, "2.25 s"),
            (1_234_567, "1.234567 s"),
        ] {
            assert_eq!(parse_span(text), Ok(us), "{text}");
            assert_eq!(parse_span(&show_span(us)), Ok(us), "{us}");
        }
        assert_eq!(show_span(1_500), "1.5 ms");
        assert_eq!(show_span(60_000_000), "60 s");
        assert_eq!(parse_span("2 min"), Ok(120_000_000));
        assert_eq!(parse_span("20ms"), Ok(20_000));
        for wrong in ["20", "ms", "1.5 us", "-1 s", "1,5 s", "1 h", ""] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_written_shortly_and_read_back() {
        assert_eq!(parse_rate("3 %"), Ok(30_000));
        assert_eq!(show_rate(30_000), "3 %");
        assert_eq!(show_rate(1), "0.0001 %");
        assert_eq!(parse_rate("0.0001%"), Ok(1));
        assert!(parse_rate("0.00001 %").is_err());
        assert!(parse_rate("3").is_err());
    }
}
