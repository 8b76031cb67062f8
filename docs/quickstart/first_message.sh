#!/bin/sh
# The first message over REST: bob is told, alice says something, and both read it.   sh first_message.sh [http://127.0.0.1:3000]
set -eu
base="${1:-http://127.0.0.1:3000}/api/v1"

caas() { # caas USER METHOD PATH [BODY]
    curl --silent --show-error --fail-with-body -X "$2" "$base$3" \
        -H "Authorization: Bearer ${CAAS_SECRET_KEY:-caas_sk_dev}" -H "CAAS-User: $1" -H "Content-Type: application/json" ${4:+-d "$4"}
}

chat=$(caas alice POST /conversations '{"type": "direct", "members": ["bob"]}' | sed -E 's/.*"id":"([^"]+)".*/\1/')
echo "the conversation of alice and bob is $chat"
caas alice POST "/conversations/$chat/messages" '{"text": "Hello, Bob"}'
echo
caas bob GET "/conversations/$chat/messages?limit=1"
echo
