"""What lives in a room without being logged: typing, receipts on their way, presence. One part for each, made when first needed."""
