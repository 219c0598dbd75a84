//! Durations as people and the original client write them: `300ms`, `1m30s`, `2`.

use std::time::Duration;

/// Reads a duration: numbers with units (h, m, s, ms, us, ns), or one number of seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration such as 300ms, 5s or 1m30s".to_owned();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    match text.is_empty() {
        true => Err(wrong()),
        false => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        let cases = [
            ("0", Some(0)),
            ("2", Some(2_000)),
            ("0.5", Some(500)),
            ("300ms", Some(300)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("", None),
            ("xx", None),
            ("5 s", None),
            ("1s5", None),
            ("-1", None),
            ("-1s", None),
            ("99999999999999999999h", None),
        ];
        for (text, millis) in cases {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
