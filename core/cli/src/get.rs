//! `usertcp get`: a download over a stack of its own.

use crate::command::{Failure, GetOptions, written};
use crate::transport::{StackConnector, failed};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, NextTimeout, RustlsConnector};
use usertcp_core::api::{self, DeviceOptions, Level, LogSink, NameOptions, Offload, Stack, StackOptions};

/// The port of name servers.
const DNS: u16 = 53;

/// For how long the stack may still send when everything is read.
const CLOSING: Duration = Duration::from_secs(2);

/// Downloads.
pub(crate) fn run(options: GetOptions) -> Result<(), Failure> {
    let verbose = options.verbose;
    let (url, output, timeout) = (options.url.clone(), options.output.clone(), options.timeout);
    let roots = options.cacert.as_deref().map(trusted).transpose()?;
    let stack = Stack::open(stack_options(options)?).map_err(|error| Failure::Failed(error.to_string()))?;
    let config = Config::builder()
        .timeout_global(timeout)
        .user_agent(concat!("usertcp/", env!("CARGO_PKG_VERSION")))
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build())
        .build();
    let connector = StackConnector { stack: stack.clone(), verbose }.chain(RustlsConnector::default());
    let agent = Agent::with_parts(config, connector, StackResolver { stack: stack.clone() });
    let mut outcome = download(&agent, &url, output.as_deref(), verbose);
    drop(agent);
    // Peers that do not finish in time are reset: everything has been read.
    if let Err(error) = stack.close(Some(CLOSING))
        && error.errno() != api::Errno::ETIMEDOUT
    {
        outcome = outcome.and(Err(Failure::Failed(error.to_string())));
    }
    outcome
}

fn download(agent: &Agent, url: &str, output: Option<&Path>, verbose: bool) -> Result<(), Failure> {
    let failed = |error: ureq::Error| Failure::Failed(format!("{url}: {error}"));
    let response = agent.get(url).call().map_err(failed)?;
    if verbose {
        eprintln!("{}", response.status());
    }
    let mut body = response.into_body().into_reader();
    let Some(path) = output else {
        let mut out = io::stdout().lock();
        return match io::copy(&mut body, &mut out) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Failed(format!("{url}: {error}")))
            }
            outcome => written(outcome.map(|_| ())),
        };
    };
    let named = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let mut file = File::create(path).map_err(named)?;
    io::copy(&mut body, &mut file).map(|_| ()).map_err(|error| Failure::Failed(format!("{url}: {error}")))
}

/// The certificates in a file.
fn trusted(path: &Path) -> Result<RootCerts, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed(&error))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(
            |item| if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None },
        )
        .collect();
    if certificates.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// A stack as the command line says.
fn stack_options(options: GetOptions) -> Result<StackOptions, Failure> {
    let GetOptions { device, stdin, addresses, host_addresses, routes, nameservers, mtu, verbose, .. } =
        options;
    let device = if stdin {
        let link = io::stdin().as_fd().try_clone_to_owned();
        DeviceOptions::Descriptor(link.map_err(|error| Failure::Failed(format!("standard input: {error}")))?)
    } else {
        DeviceOptions::Tun { name: device, host_addresses, offload: Offload::Auto }
    };
    let mut config = api::Config { addresses, routes, ..api::Config::default() };
    if let Some(mtu) = mtu {
        config.mtu = mtu;
    }
    let servers = nameservers.into_iter().map(|ip| SocketAddr::new(ip, DNS)).collect::<Vec<_>>();
    let nameservers = (!servers.is_empty()).then_some(servers);
    let names = NameOptions { nameservers, ..NameOptions::default() };
    let deliver = Arc::new(|record: &api::Record| eprintln!("{}", record.text));
    let log = verbose.then_some(LogSink { level: Level::Debug, deliver });
    Ok(StackOptions { config, device, log, names, ..StackOptions::default() })
}

/// Most addresses of a host that are tried: what ureq has room for.
const MOST: usize = 16;

/// Names, by the stack's own packets.
#[derive(Debug)]
struct StackResolver {
    stack: Stack,
}

impl Resolver for StackResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let authority = uri.authority().ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let limit = timeout.not_zero().map(|left| *left);
        let found = self.stack.resolve(bare, port, None, limit, None);
        let mut all = self.empty();
        for address in found.map_err(|error| failed(error, timeout))?.into_iter().take(MOST) {
            all.push(address);
        }
        Ok(all)
    }
}
