"""Proxy host files in the shape that NPM generates, and advanced_configs as operators write them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st

from fabfile.runner.edge.routes import managed_block
from fabfile.runner.wire.edge import Upstream

# crossplane reads its input from a file, so an example may take its time.
settings.register_profile("npm", deadline=None)
settings.load_profile("npm")

PREFIXES = ("ws", "replay", "prints", "joins", "flow", "option-prints")
DOMAIN = "flow.deltaisland.io"
WEB = Upstream("web", 3000)

_MAP = """\
map $scheme $hsts_header {
    https   "max-age=63072000; preload";
}

"""

_FILE = """\
# ------------------------------------------------------------
# {names}
# ------------------------------------------------------------



{map}server {{
  set $forward_scheme {scheme};
  set $server         "{host}";
  set $port           {port};

  listen 80;
listen [::]:80;
{tls}

  server_name {names};

  http2 on;

{certificate}






    # Force SSL
    
    set $trust_forwarded_proto "F";
    
    include conf.d/include/force-ssl.conf;




proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_http_version 1.1;


  access_log /data/logs/proxy-host-1_access.log proxy;
  error_log /data/logs/proxy-host-1_error.log warn;

{advanced}

{locations}



  location / {{






    

    # Proxy!
    include conf.d/include/proxy.conf;
  }}


  # Custom
  include /data/nginx/custom/server_proxy[.]conf;
}}
"""  # noqa: W293 (NPM's templates leave blanks on empty lines)

_TLS = """
listen 443 ssl;
listen [::]:443 ssl;
"""

_CERTIFICATE = """
  # Custom SSL
  ssl_certificate /data/custom_ssl/npm-1/fullchain.pem;
  ssl_certificate_key /data/custom_ssl/npm-1/privkey.pem;
"""

_CUSTOM_LOCATION = """\
  location {path} {{
    set              $forward_scheme http;
    set              $server         "elsewhere";
    set              $port           9000;

    include conf.d/include/proxy.conf;
  }}
"""


@dataclass(frozen=True)
class HostShape:
    """What varies between the generated files of two proxy hosts."""

    upstream: Upstream = WEB
    advanced: str = ""
    names: tuple[str, ...] = (DOMAIN,)
    mapped: bool = True
    tls: bool = True
    paths: tuple[str, ...] = field(default=())  # custom locations

    def render(self) -> str:
        """The file, as NPM writes it."""
        return _FILE.format(
            names=" ".join(self.names),
            map=_MAP if self.mapped else "",
            scheme=self.upstream.scheme,
            host=self.upstream.host,
            port=self.upstream.port,
            tls=_TLS if self.tls else "",
            certificate=_CERTIFICATE if self.tls else "",
            advanced=self.advanced,
            locations="\n".join(_CUSTOM_LOCATION.format(path=path) for path in self.paths),
        )


def old_block(prefixes: tuple[str, ...], upstream: Upstream, tail: str = "/") -> str:
    """A route block as the former scripts wrote it: no markers."""
    return (
        f"location ~ ^/({'|'.join(prefixes)}){tail} {{\n"
        f"  set $forward_scheme {upstream.scheme};\n"
        f'  set $server         "{upstream.host}";\n'
        f"  set $port           {upstream.port};\n"
        "\n"
        "  proxy_set_header Upgrade $http_upgrade;\n"
        "  proxy_set_header Connection $http_connection;\n"
        "  proxy_http_version 1.1;\n"
        "\n"
        "  include conf.d/include/proxy.conf;\n"
        "}"
    )


# What an operator may have around ours: all of it looks like something that must not be mistaken for it.
OPERATORS = (
    '# set $server "web"; set $port 3000; }',
    "# location ~ ^/(ws|replay)/ {",
    "client_max_body_size 50m;",
    'add_header X-Note "location ~ ^/(ws|replay)/ { set $server \\"api\\"; }";',
    "add_header X-Brace 'server { # no comment';",
    'add_header X-Var "${scheme}://${host}";',
    "set $who ${remote_addr}; # closing } here",
    'location = /robots.txt {\n  return 200 "set $port 1;\n# islandflow: begin (managed, do not edit)";\n}',
    'location ~ "^/[a-z]{2,5}/admin$" {\n  if ($request_method = "POST") {\n    return 405;\n  }\n}',
    'location ~ ^/(status|metrics)/ {\n  set $server "monitor";\n  set $port 9090;\n'
    "  include conf.d/include/proxy.conf;\n}",
    "location ~ ^/(ws|replay)/static/ {\n  root /data/www;\n}",
)

hosts = st.sampled_from(["web", "api", "172.18.0.1", "islandflow-web.internal", "10.0.0.7"])
upstreams = st.builds(Upstream, hosts, st.integers(1, 65535), st.sampled_from(["http", "https"]))
some_prefixes = st.lists(st.sampled_from(PREFIXES), min_size=1, unique=True).map(tuple)
old_blocks = st.builds(old_block, some_prefixes, upstreams, st.sampled_from(["/", "(/|$)", ""]))
marked_blocks = st.builds(managed_block, some_prefixes, upstreams)


@dataclass(frozen=True)
class Advanced:
    """An advanced_config, and which parts of it are the operator's own and which are route blocks of ours."""

    text: str
    own: tuple[str, ...]
    ours: tuple[str, ...]


@st.composite
def advanced_configs(draw: st.DrawFn) -> Advanced:
    """Any mixture of an operator's directives, old blocks and at most one marked block."""
    own = draw(st.lists(st.sampled_from(OPERATORS), max_size=4, unique=True))
    ours = draw(st.lists(old_blocks, max_size=3)) + draw(st.lists(marked_blocks, max_size=1))
    parts = draw(st.permutations([*((text, True) for text in own), *((text, False) for text in ours)]))
    between = draw(st.sampled_from(["\n", "\n\n", "\n# a comment\n"]))
    end = draw(st.sampled_from(["", "\n"])) if parts else ""
    return Advanced(
        between.join(text for text, _ in parts) + end,
        tuple(text for text, operators in parts if operators),
        tuple(text for text, operators in parts if not operators),
    )


@st.composite
def host_shapes(draw: st.DrawFn) -> HostShape:
    """A proxy host: map or not, TLS or not, one or several names, custom locations or none."""
    return HostShape(
        upstream=draw(upstreams),
        advanced=draw(advanced_configs()).text,
        names=draw(st.sampled_from([(DOMAIN,), ("www.example.test", DOMAIN), (DOMAIN, f"api.{DOMAIN}")])),
        mapped=draw(st.booleans()),
        tls=draw(st.booleans()),
        paths=draw(st.sampled_from([(), ("/docs",), ("/docs", "~ ^/(a|b)/")])),
    )
