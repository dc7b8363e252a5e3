// Others that tell many clients, from Debian's packages: each with a configuration and a folder of its own, on a free port, on the core of
// what is measured, stopped by its own process. How a subscriber asks and a publisher publishes is theirs; load.c speaks it.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descendants, freePort, until } from "../../tests/lib/cli.mjs";
import { accepts, MESSAGE, pin, post, startMeasured, upgrade } from "./rig.mjs";

/** config(port, dir): text of its configuration file; args(file, port, dir); worker: the process that serves, if that is another one's child. */
async function start(home, name, { command, config, args, worker }) {
	const port = await freePort();
	const dir = join(home, `${name}-${port}`);
	mkdirSync(dir);
	chmodSync(dir, 0o777); // for a server that is not root
	const file = join(dir, "conf");
	writeFileSync(file, config(port, dir));
	const process = startMeasured(command, args(file, port, dir));
	await until(`${name} on port ${port}`, async () => process.over || (await accepts(port)));
	if (process.over) throw new Error(`${name} ended: ${process.err}`);
	const pid = worker ? (await until("its worker", () => descendants(process.pid).find((p) => p.command.includes(worker)))).pid : process.pid;
	return { port, pid: pin(pid), stop: () => process.stop("SIGTERM") };
}

const nchan = {
	name: "Nchan 1.3, WebSocket",
	start: (home) =>
		start(home, "nchan", {
			command: "/usr/sbin/nginx",
			worker: "worker process",
			args: (file, port, dir) => ["-c", file, "-p", dir, "-e", join(dir, "error.log"), "-g", "daemon off;"],
			config: (port, dir) => `load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${dir}/pid;
error_log ${dir}/error.log;
events { worker_connections 15000; }
http {
	access_log off;
	nchan_shared_memory_size 128M;
	client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi; uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
	keepalive_requests 1000000000;
	server {
		listen 127.0.0.1:${port} backlog=4096;
		location = /sub { nchan_subscriber websocket; nchan_channel_id room; nchan_subscriber_first_message newest; }
		location = /pub { nchan_publisher; nchan_channel_id room; nchan_message_buffer_length 100; }
	}
}
`,
		}),
	subscribers: () => ({ framing: "ws", request: upgrade("/sub") }),
	publisher: () => ({ via: "http" }),
	publish: () => post("/pub", MESSAGE, "text/plain"),
};

const CONNECT = `CONNECT {"verbose":false,"pedantic":false,"lang":"c","version":"1","protocol":1}\r\n`;
const nats = {
	name: "nats-server 2.9, TCP",
	start: (home) =>
		start(home, "nats", {
			command: "nats-server",
			args: (file) => ["-c", file],
			config: (port) => `listen: "127.0.0.1:${port}"\nmax_connections: 15000\n`,
		}),
	subscribers: () => ({ framing: "nats", say: Buffer.from(`${CONNECT}SUB room 1\r\nPING\r\n`), want: 1 }),
	publisher: () => ({ via: "nats", greeting: Buffer.from(CONNECT) }),
	publish: () => Buffer.from(`PUB room ${MESSAGE.length}\r\n${MESSAGE}\r\n`),
};

/** A packet of MQTT 3.1.1. */
const packet = (type, ...parts) => {
	const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
	const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
	return Buffer.concat([Buffer.from([type, ...length]), body]);
};
const text = (s) => [...Buffer.from([s.length >> 8, s.length & 255]), ...Buffer.from(s)];
const hello = (name) => packet(0x10, text("MQTT"), [4, 2, 0, 0], text(name));
const mosquitto = {
	name: "mosquitto 2.0, TCP",
	start: (home) =>
		start(home, "mosquitto", {
			command: "/usr/sbin/mosquitto",
			args: (file) => ["-c", file],
			config: (port) => `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_type error\nuser root\n`,
		}),
	subscribers: () => ({ framing: "mqtt", say: Buffer.concat([hello("c@@@@@@"), packet(0x82, [0, 1], text("room"), [0])]), want: 1 }),
	publisher: () => ({ via: "mqtt", greeting: hello("writer") }),
	publish: () => packet(0x30, text("room"), MESSAGE),
};

export const peers = [nchan, nats, mosquitto];
