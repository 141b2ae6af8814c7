"""Attribution: how much each input or hidden state matters to a prediction.

One module a family, so that editing one family reruns its own methods alone.
"""
