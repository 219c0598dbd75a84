//! Whether and where there is a web view.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use doozer::http;
use doozer::runtime::Options;

use crate::flags::Flags;
use crate::setup::{SetupError, check_port};

/// Words that switch the web view off, as the original takes them. Those for "true" do so too.
const BOOLEANS: [&str; 12] = [
    "0", "1", "f", "t", "F", "T", "false", "true", "FALSE", "TRUE", "False", "True",
];

/// Whether a web view is wanted.
pub fn is_wanted(flags: &Flags) -> bool {
    let web = flags.web.as_deref();
    !web.is_some_and(|word| BOOLEANS.contains(&word))
}

/// How the web view is served; nothing if it is switched off.
pub fn options(
    flags: &Flags,
    options: &Options,
    connections_max: usize,
) -> Result<Option<http::Options>, SetupError> {
    if !is_wanted(flags) {
        return Ok(None);
    }
    let texts = [&flags.web, &flags.advertise];
    let texts = texts.into_iter().flatten().chain([&flags.listen]);
    let mut names: Vec<String> = texts.filter_map(|text| host_of(text)).collect();
    names.push(options.node.hostname.clone());
    Ok(Some(http::Options {
        addr: flags.web.as_deref().map(addr).transpose()?,
        host: options.listen,
        names,
        rw_secret: options.node.rw_secret.clone(),
        ro_secret: options.node.ro_secret.clone(),
        request_timeout: options.node.request_timeout,
        value_bytes_max: options.node.limits.value_bytes_max,
        connections_max,
    }))
}

/// Where others reach a web view that listens there: at the address of the node, where it is every
/// address of the machine.
pub fn reached_at(bound: SocketAddr, options: &Options) -> String {
    let advertised = options.advertise.as_deref().and_then(host_of);
    match bound.ip().is_unspecified() {
        true => {
            let host = advertised.unwrap_or_else(|| match options.listen.ip() {
                IpAddr::V6(ip) => format!("[{ip}]"),
                ip => ip.to_string(),
            });
            format!("{host}:{}", bound.port())
        }
        false => bound.to_string(),
    }
}

fn host_of(addr: &str) -> Option<String> {
    let (host, _) = addr.rsplit_once(':')?;
    (!host.is_empty()).then(|| host.to_owned())
}

fn addr(text: &str) -> Result<SocketAddr, SetupError> {
    check_port("-w", text)?;
    // As with -l, an empty host is every address of the machine.
    let whole = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.to_owned(),
    };
    let unknown = |source| SetupError::UnknownWeb {
        addr: text.to_owned(),
        source,
    };
    let mut addrs = whole.to_socket_addrs().map_err(unknown)?;
    let first = addrs.next();
    first.ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn flags(line: &str) -> Flags {
        let args = std::iter::once("doozerd").chain(line.split(' '));
        Flags::from_args(args.map(OsString::from)).unwrap()
    }

    #[test]
    fn any_boolean_word_switches_it_off() {
        for word in BOOLEANS {
            assert!(!is_wanted(&flags(&format!("-w {word}"))), "{word}");
        }
        for word in ["127.0.0.1:8000", "yes", ":8000"] {
            assert!(is_wanted(&flags(&format!("-w {word}"))), "{word}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(addr(":8000").unwrap(), ([0, 0, 0, 0], 8000).into());
        assert_eq!(addr("127.0.0.1:9").unwrap(), ([127, 0, 0, 1], 9).into());
        assert!(addr("yes").is_err() && addr("h:x").is_err());
    }
}
