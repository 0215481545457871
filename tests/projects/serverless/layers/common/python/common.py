LAYER = "common"
