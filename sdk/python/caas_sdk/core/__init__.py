"""The client without I/O: bytes, times and wishes go in; frames to send, calls settled and events come out.

Nothing in here waits, looks at a clock or draws chance: all three are handed in. A face (`caas_sdk.trio`, `caas_sdk.aio`) does the rest.
"""
