// Socket.IO with its msgpack parser, WebSocket only: `join` a room, `say` a text to a room.
import { createServer } from "node:http";
import { Server } from "socket.io";
import * as parser from "socket.io-msgpack-parser";

const http = createServer();
const io = new Server(http, { parser: parser.default ?? parser, transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("say", (room, text) => io.to(room).emit("new", text));
});
http.listen({ port: Number(process.argv[2] ?? 0), host: "127.0.0.1", backlog: 4096 }, () => console.log(`ready ${http.address().port}`));
